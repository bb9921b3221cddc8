/* A driver's library of NVML with one GPU, for the real pynvml to load where there is none: what crosses from C to Python
   (sizes, units, texts, pointers) is then the package's own doing. Signatures and values as in NVML's nvml.h. It has no
   persistence mode, as an older driver lacks a function; its GPU has no MIG mode and gets hot from the second look on.
   Its clocks are locked at 1500 MHz by anybody, and let go by root alone. */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef void *gpu;
typedef struct { unsigned long long total, free, used; } memory;
typedef struct { unsigned int pid; unsigned long long used; unsigned int gpu_instance, compute_instance; } process;

typedef struct {
    char legacy[16];
    unsigned int domain, bus, device, pci_device, pci_subsystem;
    char bus_id[32];
} pci;

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };

static int only;
static const char UUID[] = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6";

static int text(char *into, unsigned int size, const char *from) { snprintf(into, size, "%s", from); return SUCCESS; }

int nvmlInitWithFlags(unsigned int flags) { (void)flags; return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { (void)code; return "an error"; }
int nvmlSystemGetDriverVersion(char *into, unsigned int size) { return text(into, size, "580.95.05"); }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 12080; return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 1; return SUCCESS; }

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, gpu *found) {
    *found = &only;
    return index == 0 ? SUCCESS : NOT_FOUND;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, gpu *found) {
    *found = &only;
    return strcmp(uuid, UUID) == 0 ? SUCCESS : NOT_FOUND;
}

int nvmlDeviceGetUUID(gpu of, char *into, unsigned int size) { (void)of; return text(into, size, UUID); }
int nvmlDeviceGetName(gpu of, char *into, unsigned int size) { (void)of; return text(into, size, "NVIDIA B200"); }
int nvmlDeviceGetVbiosVersion(gpu of, char *into, unsigned int size) { (void)of; return text(into, size, "97.00.88"); }

int nvmlDeviceGetMemoryInfo(gpu of, memory *into) {
    (void)of;
    *into = (memory){192265846784ULL, 191636701184ULL, 629145600ULL};
    return SUCCESS;
}

int nvmlDeviceGetMigMode(gpu of, unsigned int *now, unsigned int *next) { (void)of; *now = *next = 9; return NOT_SUPPORTED; }
int nvmlDeviceGetMaxMigDeviceCount(gpu of, unsigned int *count) { (void)of; *count = 0; return SUCCESS; }
int nvmlDeviceGetEnforcedPowerLimit(gpu of, unsigned int *milliwatts) { (void)of; *milliwatts = 1000000; return SUCCESS; }
int nvmlDeviceGetPowerUsage(gpu of, unsigned int *milliwatts) { (void)of; *milliwatts = 712345; return SUCCESS; }

int nvmlDeviceGetTotalEnergyConsumption(gpu of, unsigned long long *millijoules) {
    static unsigned long long used = 1ULL << 40;
    (void)of;
    *millijoules = used += 1500;
    return SUCCESS;
}

int nvmlDeviceGetClockInfo(gpu of, int clock, unsigned int *mhz) {
    (void)of;
    *mhz = clock == 1 ? 1965 : clock == 2 ? 3996 : 0;
    return SUCCESS;
}

int nvmlDeviceGetTemperature(gpu of, int sensor, unsigned int *celsius) { (void)of; *celsius = 55 + sensor; return SUCCESS; }

int nvmlDeviceGetTotalEccErrors(gpu of, int type, int counter, unsigned long long *errors) {
    (void)of;
    *errors = type == 1 && counter == 0 ? 5000000000ULL : 0;
    return SUCCESS;
}

int nvmlDeviceGetRemappedRows(gpu of, unsigned int *corrected, unsigned int *uncorrected, unsigned int *is_pending,
                              unsigned int *has_failed) {
    (void)of;
    *corrected = 1, *uncorrected = 2, *is_pending = 0, *has_failed = 0;
    return SUCCESS;
}

int nvmlDeviceGetCurrentClocksEventReasons(gpu of, unsigned long long *reasons) {
    static int looks;
    (void)of;
    *reasons = looks++ ? 0x44 : 0x4;
    return SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(gpu of, unsigned int *count, process *into) {
    unsigned int room = *count;
    (void)of;
    *count = 2;
    if (room < 2) return INSUFFICIENT_SIZE;
    into[0] = (process){(unsigned int)getpid(), 1, ~0U, ~0U};
    into[1] = (process){4711, 2, ~0U, ~0U};
    return SUCCESS;
}

int nvmlDeviceGetPciInfo_v3(gpu of, pci *into) { (void)of; return text(into->bus_id, 32, "00000000:17:00.0"); }

int nvmlDeviceGetMaxClockInfo(gpu of, int clock, unsigned int *mhz) {
    (void)of;
    *mhz = clock == 1 ? 1980 : 0;
    return SUCCESS;
}

int nvmlDeviceSetGpuLockedClocks(gpu of, unsigned int least, unsigned int most) {
    (void)of;
    return least == 1500 && most == 1500 ? SUCCESS : INVALID_ARGUMENT;
}

int nvmlDeviceResetGpuLockedClocks(gpu of) { (void)of; return NO_PERMISSION; }
