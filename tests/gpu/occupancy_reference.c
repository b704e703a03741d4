/* NVIDIA's occupancy calculator, one kernel a line: the GPU's limits and the launch in, the active blocks on an SM out,
   first with the opt-in to more shared memory that the launch needs, then without it, as Kineto asks; -1 is an error. */
#include <cuda_occupancy.h>
#include <stdio.h>

int main(void)
{
    cudaOccDeviceProp gpu = {0};
    cudaOccFuncAttributes kernel = {0};
    cudaOccDeviceState state = {0};
    size_t shared;
    int threads;

    state.carveoutConfig = SHAREDMEM_CARVEOUT_DEFAULT;
    kernel.maxThreadsPerBlock = INT_MAX;
    gpu.warpSize = 32;
    while (scanf("%d %d %d %d %d %d %d %zu %zu %zu %d %d %zu", &gpu.computeMajor, &gpu.computeMinor, &gpu.numSms,
                 &gpu.maxThreadsPerBlock, &gpu.maxThreadsPerMultiprocessor, &gpu.regsPerBlock,
                 &gpu.regsPerMultiprocessor, &gpu.sharedMemPerBlock, &gpu.sharedMemPerBlockOptin,
                 &gpu.sharedMemPerMultiprocessor, &threads, &kernel.numRegs, &shared) == 13) {
        cudaOccResult result;
        int opted_in, as_kineto;

        gpu.reservedSharedMemPerBlock = gpu.computeMajor >= 8 ? 1024 : 0;
        kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
        kernel.maxDynamicSharedSizeBytes = shared;
        opted_in = cudaOccMaxActiveBlocksPerMultiprocessor(&result, &gpu, &kernel, &state, threads, shared)
                       ? -1 : result.activeBlocksPerMultiprocessor;
        kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_DEFAULT;
        kernel.maxDynamicSharedSizeBytes = 0;
        as_kineto = cudaOccMaxActiveBlocksPerMultiprocessor(&result, &gpu, &kernel, &state, threads, shared)
                        ? -1 : result.activeBlocksPerMultiprocessor;
        printf("%d %d\n", opted_in, as_kineto);
    }
    return 0;
}
