// A list of what can't be read on the page as it is laid out now; empty where all is well.
() => {
  const faults = [];
  const root = document.documentElement;
  const named = (element) => `${element.tagName.toLowerCase()} "${element.textContent.trim().slice(0, 60)}"`;
  const isShown = (element) =>
    element.checkVisibility({ contentVisibilityAuto: true, opacityProperty: true }) && !element.closest(".unseen, .skip, title, desc");

  if (root.scrollWidth > root.clientWidth) faults.push(`the page is ${root.scrollWidth} px wide, its window ${root.clientWidth}`);

  for (const element of document.body.querySelectorAll("*")) {
    if (element.closest("svg") || !isShown(element)) continue;
    const style = getComputedStyle(element);
    const hides = (value) => value === "hidden" || value === "clip";
    if (hides(style.overflowX) && element.scrollWidth > element.clientWidth + 1) faults.push(`clipped: ${named(element)}`);
    if (hides(style.overflowY) && element.scrollHeight > element.clientHeight + 1) faults.push(`clipped: ${named(element)}`);
  }

  for (const drawing of document.querySelectorAll("svg")) {
    if (!isShown(drawing)) continue;
    const box = drawing.getBoundingClientRect();
    const marks = [...drawing.querySelectorAll("path, rect, line, circle")].map((each) => each.getBBox());
    if (!(box.width > 10 && box.height > 5)) faults.push(`not drawn: ${named(drawing)}`);
    if (!marks.some((each) => each.width > 0 || each.height > 0)) faults.push(`an empty drawing: ${named(drawing)}`);
    for (const text of drawing.querySelectorAll("text")) {
      const own = text.getBoundingClientRect();
      const isOutside = own.left < box.left - 1 || own.right > box.right + 1 || own.top < box.top - 1 || own.bottom > box.bottom + 1;
      if (isOutside) faults.push(`outside its drawing: ${named(text)}`);
    }
  }
  for (const picture of document.images) {
    if (isShown(picture) && !(picture.complete && picture.naturalWidth > 0)) faults.push(`not shown: ${picture.alt}`);
  }

  // Every line of text that is to be seen, as far as its frame shows it.
  const lines = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (node.data.trim() === "" || element.closest("script, style") || !isShown(element)) continue;
    const frame = element.closest(".scroll")?.getBoundingClientRect() ?? { left: -Infinity, right: Infinity };
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const line of range.getClientRects()) {
      if (line.width < 1 || line.height < 1) continue;
      const left = Math.max(line.left, frame.left);
      const right = Math.min(line.right, frame.right);
      if (right - left < 1) continue;
      if (left < -1 || right > root.clientWidth + 1) faults.push(`beyond the page's edge: ${named(element)}`);
      // fonts leave air above and below: a third of the line's height may overlap
      const air = line.height / 6;
      lines.push({ left, right, top: line.top + air, bottom: line.bottom - air, element });
    }
  }
  lines.sort((a, b) => a.top - b.top);
  lines.forEach((a, i) => {
    for (let j = i + 1; j < lines.length && lines[j].top < a.bottom; j++) {
      const b = lines[j];
      const isBeside = Math.min(a.right, b.right) - Math.max(a.left, b.left) < 1;
      if (!isBeside && a.element !== b.element) faults.push(`${named(a.element)} lies upon ${named(b.element)}`);
    }
  });

  // Boxes that belong beside or below each other.
  for (const parent of document.querySelectorAll("tr, .charts, .gallery ul, figure, section, main")) {
    if (!isShown(parent)) continue;
    const boxes = [...parent.children].filter(isShown).map((each) => [each, each.getBoundingClientRect()]);
    boxes.slice(1).forEach(([element, box], i) => {
      const [before, other] = boxes[i];
      const across = Math.min(box.right, other.right) - Math.max(box.left, other.left);
      const along = Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top);
      if (across > 1 && along > 1) faults.push(`${named(before)} and ${named(element)} overlap`);
    });
  }
  return faults;
}
