/* A stand-in for NVIDIA's libnvidia-ml.so.1, for the real nvidia-ml-py to call on a machine without a GPU.
 *
 * The environment variable NVML_STUB, read at each call, says how it behaves: words `key=value`, of which the last one
 * of a key counts; a key that isn't in KEYS aborts the process. The timers ("after the first call") begin anew whenever
 * the string differs from the one seen before, and `ask=ANYTHING` is there to make it differ. NAME is a function
 * without its _v2 or _v3; "nvmlInit" stands for all its forms.
 *
 *   gpus=1 name=Stub_H100 cc=9.0 util=40 throttle=5 (idle and power cap)
 *   gpm=1 energy=1 samples=1 mig=0 old=0 (1: no ...EventReasons, only ...ThrottleReasons)
 *   energy_wraps=0.2    the counter falls back to 0 at 0.2 s after its first read
 *   energy_tick=0.1     it moves every 0.1 s, as a GPU's does, and not at every read
 *   sample_every=0.2    a utilization sample every 0.2 s, as on Hopper; otherwise every 0.05 s
 *   samples_none=1      there are never any: NOT_FOUND
 *   samples_end=0.5     no sample later than 0.5 s after the first call
 *   samples_wrap=1      samples later than 0.5 s after the first call are stamped 2^32 us too early
 *   samples_junk=1      samples of 4000000000
 *   pids=own            own, numbers, or nothing; pids_later=own,77: from 0.1 s after the first call on
 *   gpm_nan=1           metrics that are NaN
 *   init=9              nvmlInit answers 9
 *   refuse=NAME         NAME answers NOT_SUPPORTED (any number of them)
 *   fail=NAME:15        NAME answers 15 (any number of them)
 *   hang=NAME:5         NAME takes 5 s longer (any number of them)
 *   first=NAME:5        the first call of NAME does (any number of them)
 *   later=NAME:5        NAME, which measures, does from 0.1 s after the first call that measures on
 *   lost_after=0.3      every device call answers GPU_IS_LOST from 0.3 s after the first one that measures on
 */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { SUCCESS, UNINITIALIZED, INVALID_ARGUMENT, NOT_SUPPORTED, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
       FUNCTION_NOT_FOUND = 13, GPU_IS_LOST = 15, OUT_OF_MEMORY = 20, VERSION_MISMATCH = 25 };
enum { MAX_GPUS = 16, MAX_GPM_SAMPLES = 256, SAMPLES_KEPT = 120, MAX_FUNCTIONS = 64 };
enum { GPU_UTILIZATION = 1, UNSIGNED_INT = 1, MEMORY_V2 = 0x02000028 }; /* nvml.h's own numbers */
#define GIB (1ull << 30)
#define TEXT_SIZE 2048

static const char *KEYS = " gpus name cc util throttle gpm energy samples mig old energy_wraps samples_end samples_wrap"
                          " samples_junk samples_none sample_every energy_tick pids pids_later gpm_nan init refuse fail hang first later"
                          " lost_after ask ";

typedef unsigned long long u64;
typedef struct { u64 total, free, used; } Memory;
typedef struct { unsigned version; u64 total, reserved, free, used; } MemoryV2;
typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { unsigned pid; u64 used_bytes; unsigned gpu_instance, compute_instance; } Process;
typedef struct { char legacy[16]; unsigned domain, bus, device, device_id, subsystem_id; char bus_id[32]; } Pci;
typedef struct { u64 stamp_us; union { double d; unsigned u; u64 ull; } value; } Sample;
typedef struct { atomic_int live; long long taken_us; } GpmSample;
typedef struct { unsigned id, code; double value; const char *short_name, *long_name, *unit; } GpmMetric;
typedef struct { unsigned version, n; GpmSample *before, *after; GpmMetric metrics[]; } GpmMetrics;
typedef struct { unsigned version, supported; } GpmSupport;

typedef enum { MEASURED, SAMPLED, PIDS_READ, ENERGY_READ, N_TIMERS = ENERGY_READ + MAX_GPUS } Timer;
typedef enum { SYSTEM, LOOK_UP, IDENTITY, MEASURE } Kind; /* the last two are given a handle */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the next two; never held while a call hangs */
static char seen_scenario[TEXT_SIZE];
static long long first_us[N_TIMERS];
static const char *called[MAX_FUNCTIONS]; /* under this scenario */
static atomic_int n_inits;
static GpmSample gpm_samples[MAX_GPM_SAMPLES];
static char gpus[MAX_GPUS];                    /* a handle is the address of one */
static _Thread_local char scenario[TEXT_SIZE]; /* as it was when this thread's call began */

/* Words */

static void give_up(const char *why, const char *what) {
    fprintf(stderr, "NVML_STUB: %s: %s\n", why, what);
    abort();
}

static int next_word(const char **at, char *word) {
    *at += strspn(*at, " ");
    size_t length = strcspn(*at, " ");
    snprintf(word, TEXT_SIZE, "%.*s", (int)length, *at);
    *at += length;
    return length > 0;
}

static char *value_of(char *word, const char *key) {
    size_t length = strlen(key);
    return strncmp(word, key, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

/* Copy a key's value to `out`, or leave it as it is. */
static void read_text(const char *key, char *out) {
    char word[TEXT_SIZE], *value;
    for (const char *at = scenario; next_word(&at, word);)
        if ((value = value_of(word, key))) strcpy(out, value);
}

static double number(const char *key, double otherwise) {
    char value[TEXT_SIZE] = "";
    read_text(key, value);
    return *value ? atof(value) : otherwise;
}

static unsigned n_gpus(void) { return (unsigned)number("gpus", 1); }
static unsigned utilization(void) { return (unsigned)number("util", 40); }

static size_t length_without_version(const char *name) {
    const char *version = strstr(name, "_v");
    return version ? (size_t)(version - name) : strlen(name);
}

/* Is there a word `key=NAME` or `key=NAME:amount` for this function? */
static int ruled(const char *key, const char *function, double *amount) {
    char word[TEXT_SIZE], *name, *colon;
    size_t length = length_without_version(function);
    for (const char *at = scenario; next_word(&at, word);) {
        if (!(name = value_of(word, key))) continue;
        if ((colon = strchr(name, ':'))) *colon = 0, *amount = atof(colon + 1);
        if (length_without_version(name) == length && strncmp(name, function, length) == 0) return 1;
    }
    return 0;
}

static void begin_scenario(void) {
    char word[TEXT_SIZE], key[TEXT_SIZE + 2];
    for (const char *at = scenario; next_word(&at, word);) {
        snprintf(key, sizeof key, " %.*s ", (int)strcspn(word, "="), word);
        if (!strchr(word, '=') || !strstr(KEYS, key)) give_up("no such word", word);
        int needs_number = value_of(word, "fail") || value_of(word, "hang") || value_of(word, "first") || value_of(word, "later");
        if (needs_number && !strchr(word, ':')) give_up("no number", word);
    }
    if (n_gpus() > MAX_GPUS) give_up("too many GPUs", scenario);
    strcpy(seen_scenario, scenario);
    memset(first_us, 0, sizeof first_us);
    memset(called, 0, sizeof called);
}

/* Is this a function's first call under the scenario? */
static int is_first_call(const char *function) {
    int i = 0, is_first;
    pthread_mutex_lock(&lock);
    while (i < MAX_FUNCTIONS - 1 && called[i] && strcmp(called[i], function) != 0) i++;
    is_first = !called[i];
    called[i] = function;
    pthread_mutex_unlock(&lock);
    return is_first;
}

/* Clocks */

static long long clock_us(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000ll + now.tv_nsec / 1000;
}

/* Microseconds since the scenario's first call of a kind; 0 if this is it. */
static long long since_first_us(Timer timer) {
    pthread_mutex_lock(&lock);
    long long now = clock_us(CLOCK_MONOTONIC), first = now;
    if (strcmp(scenario, seen_scenario) == 0) { /* else it hung, and another scenario has begun */
        if (first_us[timer] == 0) first_us[timer] = now;
        first = first_us[timer];
    }
    pthread_mutex_unlock(&lock);
    return now - first;
}

/* What every call does first */

static int enter(const char *function, Kind kind, const char *gpu) {
    const char *given = getenv("NVML_STUB");
    if (given && strlen(given) >= TEXT_SIZE) give_up("too long", given);
    strcpy(scenario, given ? given : "");
    pthread_mutex_lock(&lock);
    if (strcmp(scenario, seen_scenario) != 0) begin_scenario();
    pthread_mutex_unlock(&lock);
    double amount = 0, lost_after_s = number("lost_after", -1);
    if (ruled("hang", function, &amount)) usleep((useconds_t)(amount * 1e6));
    if (is_first_call(function) && ruled("first", function, &amount)) usleep((useconds_t)(amount * 1e6));
    if (kind == MEASURE && since_first_us(MEASURED) >= 100000 && ruled("later", function, &amount))
        usleep((useconds_t)(amount * 1e6));
    if (ruled("refuse", function, &amount)) return NOT_SUPPORTED;
    if (ruled("fail", function, &amount)) return (int)amount;
    if (n_inits == 0 && strcmp(function, "nvmlInit") != 0) return UNINITIALIZED;
    if (kind >= IDENTITY && (gpu < gpus || gpu >= gpus + n_gpus())) return INVALID_ARGUMENT;
    if (lost_after_s < 0 || kind == SYSTEM) return SUCCESS;
    pthread_mutex_lock(&lock);
    int measured = kind == MEASURE || first_us[MEASURED] != 0;
    pthread_mutex_unlock(&lock);
    return measured && since_first_us(MEASURED) >= lost_after_s * 1e6 ? GPU_IS_LOST : SUCCESS;
}

#define ENTER(kind, gpu) do { int code_ = enter(__func__, kind, gpu); if (code_ != SUCCESS) return code_; } while (0)

/* A function of a GPU with one answer; one of a GPU and of which clock or sensor. */
#define ANSWERS(function, kind, type, answer) \
    int function(char *gpu, type *out) { ENTER(kind, gpu); *out = (answer); return SUCCESS; }
#define ANSWERS_ANY(function, kind, answer) \
    int function(char *gpu, int any, unsigned *out) { ENTER(kind, gpu); return (void)any, *out = (answer), SUCCESS; }

static int answer_text(char *out, unsigned size, const char *text) {
    if (strlen(text) >= size) return INSUFFICIENT_SIZE;
    strcpy(out, text);
    return SUCCESS;
}

/* The library and the driver */

static int init(void) {
    int code = enter("nvmlInit", SYSTEM, NULL);
    if (code == SUCCESS) code = (int)number("init", SUCCESS);
    n_inits += code == SUCCESS;
    return code;
}

int nvmlInit(void) { return init(); } /* what torch.cuda.device_count() calls */
int nvmlInit_v2(void) { return init(); }
int nvmlInitWithFlags(unsigned flags) { return (void)flags, init(); } /* what pynvml calls */
int nvmlShutdown(void) { ENTER(SYSTEM, NULL); n_inits--; return SUCCESS; }

const char *nvmlErrorString(int code) { /* pynvml asks only for those that its own table lacks: 19, 21, 22, ... */
    static const char *texts[28] = {
        [0] = "Success", [1] = "Uninitialized", [2] = "Invalid Argument", [3] = "Not Supported", [6] = "Not Found",
        [9] = "Driver Not Loaded", [13] = "Function Not Found", [15] = "GPU is lost", [19] = "In use by another client",
        [21] = "No data", [25] = "Argument version mismatch", [27] = "System is not ready",
    };
    return code >= 0 && code < 28 && texts[code] ? texts[code] : "Unknown Error";
}

int nvmlSystemGetDriverVersion(char *out, unsigned n) { ENTER(SYSTEM, NULL); return answer_text(out, n, "999.1"); }
int nvmlSystemGetNVMLVersion(char *out, unsigned n) { ENTER(SYSTEM, NULL); return answer_text(out, n, "99.999.1"); }
int nvmlSystemGetCudaDriverVersion_v2(int *out) { ENTER(SYSTEM, NULL); return *out = 13000, SUCCESS; }

/* Which GPU */

static void uuid_of(unsigned i, char *out) { sprintf(out, "GPU-00000000-0000-0000-0000-%012u", i); }
static void bus_id_of(unsigned i, char *out) { sprintf(out, "00000000:%02X:00.0", 0x10 + i); }

static int look_up(char **out, void (*name_of)(unsigned, char *), const char *wanted) {
    char name[64];
    for (unsigned i = 0; i < n_gpus(); i++) {
        name_of(i, name);
        if (strcasecmp(name, wanted) == 0) return *out = &gpus[i], SUCCESS;
    }
    return NOT_FOUND;
}

int nvmlDeviceGetCount_v2(unsigned *out) { ENTER(SYSTEM, NULL); return *out = n_gpus(), SUCCESS; }
int nvmlDeviceGetHandleByUUID(const char *id, char **out) { ENTER(LOOK_UP, NULL); return look_up(out, uuid_of, id); }

int nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, char **out) {
    char full[64];
    ENTER(LOOK_UP, NULL);
    snprintf(full, sizeof full, "%s%s", strlen(bus_id) == strlen("0000:10:00.0") ? "0000" : "", bus_id);
    return look_up(out, bus_id_of, full);
}

int nvmlDeviceGetHandleByIndex_v2(unsigned i, char **out) {
    ENTER(LOOK_UP, NULL);
    if (i >= n_gpus()) return INVALID_ARGUMENT;
    return *out = &gpus[i], SUCCESS;
}

int nvmlDeviceGetName(char *gpu, char *out, unsigned size) {
    char name[TEXT_SIZE] = "Stub_H100";
    ENTER(IDENTITY, gpu);
    read_text("name", name);
    for (char *at = name; (at = strchr(at, '_'));) *at = ' ';
    return answer_text(out, size, name);
}

int nvmlDeviceGetUUID(char *gpu, char *out, unsigned size) {
    char uuid[64];
    ENTER(IDENTITY, gpu);
    uuid_of((unsigned)(gpu - gpus), uuid);
    return answer_text(out, size, uuid);
}

int nvmlDeviceGetPciInfo_v3(char *gpu, Pci *out) {
    ENTER(IDENTITY, gpu);
    *out = (Pci){.bus = 0x10 + (unsigned)(gpu - gpus), .device_id = 0x233010DE, .subsystem_id = 0x16C110DE};
    bus_id_of((unsigned)(gpu - gpus), out->bus_id);
    strcpy(out->legacy, out->bus_id + strlen("0000"));
    return SUCCESS;
}

int nvmlDeviceGetCudaComputeCapability(char *gpu, int *major, int *minor) {
    char value[TEXT_SIZE] = "9.0";
    ENTER(IDENTITY, gpu);
    read_text("cc", value);
    return sscanf(value, "%d.%d", major, minor) == 2 ? SUCCESS : INVALID_ARGUMENT;
}

int nvmlDeviceGetMigMode(char *gpu, unsigned *current, unsigned *pending) {
    ENTER(IDENTITY, gpu);
    return *current = *pending = (unsigned)number("mig", 0), SUCCESS;
}

int nvmlDeviceGetAttributes_v2(char *gpu, void *out) { ENTER(IDENTITY, gpu); return (void)out, NOT_SUPPORTED; }

ANSWERS(nvmlDeviceGetIndex, IDENTITY, unsigned, (unsigned)(gpu - gpus))
ANSWERS(nvmlDeviceGetMinorNumber, IDENTITY, unsigned, (unsigned)(gpu - gpus))
ANSWERS(nvmlDeviceGetNumGpuCores, IDENTITY, unsigned, 16896)
ANSWERS(nvmlDeviceGetPersistenceMode, IDENTITY, unsigned, 1)
ANSWERS(nvmlDeviceGetEnforcedPowerLimit, IDENTITY, unsigned, 700000)
ANSWERS_ANY(nvmlDeviceGetMaxClockInfo, IDENTITY, 1980)

/* How it does */

ANSWERS(nvmlDeviceGetPowerUsage, MEASURE, unsigned, 100000)
ANSWERS_ANY(nvmlDeviceGetClockInfo, MEASURE, 1500)
ANSWERS_ANY(nvmlDeviceGetTemperature, MEASURE, 50)
ANSWERS(nvmlDeviceGetCurrentClocksThrottleReasons, MEASURE, u64, (u64)number("throttle", 1 | 4))
ANSWERS(nvmlDeviceGetMemoryInfo, MEASURE, Memory, ((Memory){80 * GIB, 77 * GIB, 3 * GIB}))

int nvmlDeviceGetCurrentClocksEventReasons(char *gpu, u64 *out) {
    ENTER(MEASURE, gpu);
    if (number("old", 0)) return FUNCTION_NOT_FOUND; /* which pynvml makes of a symbol that is absent, too */
    return *out = (u64)number("throttle", 1 | 4), SUCCESS;
}

int nvmlDeviceGetMemoryInfo_v2(char *gpu, MemoryV2 *out) {
    ENTER(MEASURE, gpu);
    if (out->version != MEMORY_V2) return VERSION_MISMATCH;
    *out = (MemoryV2){MEMORY_V2, 80 * GIB, 0, 77 * GIB, 3 * GIB};
    return SUCCESS;
}

int nvmlDeviceGetTotalEnergyConsumption(char *gpu, u64 *out_mj) {
    ENTER(MEASURE, gpu);
    if (!number("energy", 1)) return NOT_SUPPORTED;
    double wraps_s = number("energy_wraps", 0), tick_s = number("energy_tick", 0);
    long long now_us = clock_us(CLOCK_MONOTONIC), since_us = since_first_us(ENERGY_READ + (Timer)(gpu - gpus));
    if (tick_s > 0) now_us -= now_us % (long long)(tick_s * 1e6);
    *out_mj = 1000000000 + (u64)now_us / 10; /* 100 W */
    if (wraps_s > 0 && since_us > wraps_s * 1e6) *out_mj = (u64)since_us / 10;
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(char *gpu, Utilization *out) {
    ENTER(MEASURE, gpu);
    if (number("mig", 0)) return NOT_SUPPORTED;
    *out = (Utilization){utilization(), 10};
    return SUCCESS;
}

int nvmlDeviceGetSamples(char *gpu, unsigned what, u64 last_seen_us, unsigned *value_type, unsigned *n, Sample *out) {
    ENTER(MEASURE, gpu);
    if (!number("samples", 1) || number("mig", 0) || what != GPU_UTILIZATION) return NOT_SUPPORTED;
    long long now_us = clock_us(CLOCK_REALTIME), began_us = now_us - since_first_us(SAMPLED), end_us = now_us;
    double end_s = number("samples_end", -1);
    if (end_s >= 0 && began_us + end_s * 1e6 < now_us) end_us = began_us + (long long)(end_s * 1e6);
    if (number("samples_none", 0)) return NOT_FOUND;
    long long every_us = (long long)(number("sample_every", 0.05) * 1e6);
    unsigned room = *n, found = 0;
    *value_type = UNSIGNED_INT;
    *n = SAMPLES_KEPT;
    if (!out) return SUCCESS; /* asked for the buffer's size */
    for (long long i = end_us / every_us - SAMPLES_KEPT + 1; i <= end_us / every_us && found < room; i++) {
        u64 stamp_us = (u64)(i * every_us);
        if (number("samples_wrap", 0) && i * every_us > began_us + 500000) stamp_us -= 1ull << 32;
        if (stamp_us <= last_seen_us) continue;
        out[found] = (Sample){.stamp_us = stamp_us};
        out[found++].value.u = number("samples_junk", 0) ? 4000000000u : utilization();
    }
    *n = found;
    return found ? SUCCESS : NOT_FOUND;
}

int nvmlDeviceGetComputeRunningProcesses_v3(char *gpu, unsigned *n, Process *out) {
    char pids[TEXT_SIZE] = "own", *rest;
    ENTER(MEASURE, gpu);
    read_text("pids", pids);
    if (since_first_us(PIDS_READ) >= 100000) read_text("pids_later", pids);
    unsigned room = *n, found = 0;
    for (char *pid = strtok_r(pids, ",", &rest); pid; pid = strtok_r(NULL, ",", &rest), found++)
        if (found < room && out)
            out[found] = (Process){(unsigned)(strcmp(pid, "own") ? atoi(pid) : getpid()), GIB, ~0u, ~0u};
    *n = found;
    return found <= room ? SUCCESS : INSUFFICIENT_SIZE;
}

/* GPM, the hardware counters */

int nvmlGpmQueryDeviceSupport(char *gpu, GpmSupport *out) {
    ENTER(IDENTITY, gpu);
    if (out->version != 1) return VERSION_MISMATCH;
    return out->supported = (unsigned)number("gpm", 1), SUCCESS;
}

static int is_live(const GpmSample *sample) {
    return sample >= gpm_samples && sample < gpm_samples + MAX_GPM_SAMPLES && sample->live;
}

int nvmlGpmSampleAlloc(GpmSample **out) {
    ENTER(SYSTEM, NULL);
    for (GpmSample *sample = gpm_samples; sample < gpm_samples + MAX_GPM_SAMPLES; sample++)
        if (!atomic_exchange(&sample->live, 1)) return sample->taken_us = 0, *out = sample, SUCCESS;
    return OUT_OF_MEMORY;
}

int nvmlGpmSampleFree(GpmSample *sample) {
    ENTER(SYSTEM, NULL);
    return is_live(sample) && atomic_exchange(&sample->live, 0) ? SUCCESS : INVALID_ARGUMENT;
}

int nvmlGpmSampleGet(char *gpu, GpmSample *sample) {
    ENTER(MEASURE, gpu);
    if (!number("gpm", 1)) return NOT_SUPPORTED;
    return is_live(sample) ? sample->taken_us = clock_us(CLOCK_MONOTONIC), SUCCESS : INVALID_ARGUMENT;
}

int nvmlGpmMetricsGet(GpmMetrics *asked) {
    static const GpmMetric known[] = {
        {2, SUCCESS, 35.0, "SM_UTIL", "SM Utilization", "%"},
        {3, SUCCESS, 12.5, "SM_OCCUPANCY", "SM Occupancy", "%"},
        {5, SUCCESS, 1.5, "ANY_TENSOR_UTIL", "Tensor Utilization", "%"},
        {10, SUCCESS, 20.0, "DRAM_BW_UTIL", "DRAM Bandwidth Utilization", "%"},
        {12, SUCCESS, 8.25, "FP32_UTIL", "FP32 Utilization", "%"},
    };
    ENTER(SYSTEM, NULL);
    if (asked->version != 1) return VERSION_MISMATCH;
    if (asked->n == 0 || !is_live(asked->before) || !is_live(asked->after)) return INVALID_ARGUMENT;
    if (!asked->before->taken_us || asked->after->taken_us <= asked->before->taken_us) return INVALID_ARGUMENT;
    for (GpmMetric *metric = asked->metrics; metric < asked->metrics + asked->n; metric++) {
        metric->code = NOT_SUPPORTED;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (known[i].id == metric->id) *metric = known[i];
        if (metric->code == SUCCESS && number("gpm_nan", 0)) metric->value = NAN;
    }
    return SUCCESS;
}

/* For the tests: samples allocated and not freed, inits not shut down. */

int nvml_stub_live_samples(void) {
    int n = 0;
    for (int i = 0; i < MAX_GPM_SAMPLES; i++) n += gpm_samples[i].live;
    return n;
}

int nvml_stub_live_inits(void) { return n_inits; }
