"""The data sets: torchvision's by name, a folder of images, and the embedded digits and shapes (no file needed)."""
