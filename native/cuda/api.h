// The border between the addon and the CUDA library: a table of C functions and plain structs. The addon (g++
// through node-gyp) and the library (nvcc, per GPU) are built apart and at different times, so nothing of
// C++, CUDA or Node crosses it. The emulated library, the same sources compiled for the host, has the same
// table.
//
// Every function returns 0, or nonzero with `failure` filled. Any thread may call; calls on one device may
// overlap.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Raised whenever this file or any OP_device.h changes its meaning or layout.
#define CINEFUSE_CUDA_ABI 2u

typedef enum cinefuse_failure_kind {
  CINEFUSE_FAILED = 1,      // a CUDA call failed; the device goes on
  CINEFUSE_OUT_OF_MEMORY,   // on the device, or under the cap
  CINEFUSE_DEVICE_LOST,     // a sticky error: every further call on this device fails until it is reset
  CINEFUSE_INVALID_INPUT,   // found while running (a sample that is NaN); `field` names it
  CINEFUSE_CALL_CANCELLED,  //
  CINEFUSE_NO_DEVICE,       // no such device, no driver, no kernel image for it
  CINEFUSE_ABI_MISMATCH,    // a struct of another size than the library knows
} cinefuse_failure_kind;

typedef struct cinefuse_failure {
  int32_t kind;    // cinefuse_failure_kind
  int32_t native;  // cudaError_t, 0 if none
  char field[96];
  char message[1024];
} cinefuse_failure;

typedef enum cinefuse_operator {
  CINEFUSE_ACTIVATION = 0,
  CINEFUSE_LAYER_NORM,
  CINEFUSE_LINEAR,
  CINEFUSE_TENSOR_FUSION,
  CINEFUSE_OUTER_PRODUCT,
  CINEFUSE_LOW_RANK_FUSION,
  CINEFUSE_MODALITY_ATTENTION,
  CINEFUSE_TEMPORAL_ATTENTION,
  CINEFUSE_ADDITIVE_ATTENTION,
  CINEFUSE_SPATIAL_ATTENTION,
  CINEFUSE_CROSS_ATTENTION,
  CINEFUSE_MEL,
  CINEFUSE_POWER_TO_DB,
  CINEFUSE_FRAMES,
  CINEFUSE_FUSION_NETWORK,
  CINEFUSE_FUSION_TRAINING,
  CINEFUSE_KERNEL_MATRIX,
  CINEFUSE_ACTIVATION_BACKWARD,
  CINEFUSE_LAYER_NORM_BACKWARD,
  CINEFUSE_LINEAR_BACKWARD,
  CINEFUSE_DROPOUT,
  CINEFUSE_LOSS,
  CINEFUSE_OPTIMIZER,
  CINEFUSE_SQUARED_NORM,
  CINEFUSE_MODALITY_ATTENTION_BACKWARD,
  CINEFUSE_TEMPORAL_ATTENTION_BACKWARD,
  CINEFUSE_ADDITIVE_ATTENTION_BACKWARD,
  CINEFUSE_SPATIAL_ATTENTION_BACKWARD,
  CINEFUSE_CROSS_ATTENTION_BACKWARD,
  CINEFUSE_CROSS_MODAL_BACKWARD,
  CINEFUSE_TENSOR_FUSION_TRAINING,
  CINEFUSE_LOW_RANK_FUSION_TRAINING,
  CINEFUSE_EMBEDDING,
  CINEFUSE_EMBEDDING_BACKWARD,
  CINEFUSE_CONV_POOL,
  CINEFUSE_CONV_POOL_FORWARD,
  CINEFUSE_CONV_POOL_BACKWARD,
  CINEFUSE_LSTM,
  CINEFUSE_LSTM_FORWARD,
  CINEFUSE_LSTM_BACKWARD,
  CINEFUSE_OPTICAL_FLOW,
  CINEFUSE_OPERATORS,  // how many
} cinefuse_operator;

typedef enum cinefuse_precision {
  CINEFUSE_FP32 = 0,  // float32 accuracy
  CINEFUSE_TF32 = 1,  // matrix units round their inputs to 10 bits of mantissa
  CINEFUSE_BF16 = 2,  // to 7 bits
} cinefuse_precision;

typedef struct cinefuse_device_info {
  char name[128];
  int32_t major, minor;  // compute capability
  int32_t multiprocessors;
  int32_t driver, runtime;  // as CUDA numbers them: 13000
  int64_t memory, l2;       // bytes
  int32_t clock_khz, memory_clock_khz, memory_bus_bits;
} cinefuse_device_info;

// Bytes of device memory that a device handle has taken.
typedef struct cinefuse_device_memory {
  int64_t in_use, cached, peak, cap;
} cinefuse_device_memory;

// With `repeats` > 0 the kernels of a call (not its copies) run warm-ups and then `repeats` times, each
// between two events after the L2 cache was flushed; times in milliseconds go to `each`.
typedef struct cinefuse_timing {
  int32_t warmups, repeats;
  int32_t flush_l2;
  float* each;  // (repeats)
} cinefuse_timing;

// How a call runs. Null pointers where not wanted.
typedef struct cinefuse_call {
  const volatile int32_t* cancel;  // becomes 1 when the caller wants no result any more
  int32_t precision;               // cinefuse_precision
  int32_t reserved;
  cinefuse_timing* timing;
} cinefuse_call;

typedef struct cinefuse_device cinefuse_device;
typedef struct cinefuse_object cinefuse_object;  // prepared weights or tables on one device

typedef struct cinefuse_cuda_api {
  uint32_t abi;         // CINEFUSE_CUDA_ABI
  uint32_t size;        // sizeof(cinefuse_cuda_api) of the builder
  const char* backend;  // "cuda" or "emulated"
  const char* archs;    // what the kernels were built for: "80,90"
  const char* toolkit;  // "CUDA 13.0"

  int (*device_count)(int32_t* count, cinefuse_failure* failure);
  int (*device_info)(int32_t ordinal, cinefuse_device_info* info, cinefuse_failure* failure);
  // Proves the device by launching an empty kernel on it. memory_cap: bytes, 0 for none.
  int (*device_open)(int32_t ordinal, int64_t memory_cap, cinefuse_device** device,
                     cinefuse_failure* failure);
  // All objects of it must have been released, no call be running.
  void (*device_close)(cinefuse_device* device);
  // Destroys this process's context on the device, whoever else uses it: the one way back from a lost device.
  int (*device_reset)(int32_t ordinal, cinefuse_failure* failure);
  int (*device_memory)(cinefuse_device* device, cinefuse_device_memory* memory, cinefuse_failure* failure);
  // Gives memory that no call uses back to the driver.
  int (*device_trim)(cinefuse_device* device, cinefuse_failure* failure);

  // `description` and `params` are the structs of the operator's OP_device.h, of the size given.
  int (*create)(cinefuse_device* device, uint32_t op, const void* description, size_t size,
                cinefuse_object** object, cinefuse_failure* failure);
  void (*release)(cinefuse_object* object);
  // object: null for an operator without one.
  int (*run)(cinefuse_device* device, uint32_t op, cinefuse_object* object, const cinefuse_call* call,
             const void* params, size_t size, cinefuse_failure* failure);
} cinefuse_cuda_api;

// The one symbol the library exports. Null for an ABI it does not speak.
typedef const cinefuse_cuda_api* (*cinefuse_cuda_api_function)(uint32_t abi);
#define CINEFUSE_CUDA_API_SYMBOL "cinefuse_cuda_api_table"

#ifdef __cplusplus
}
#endif
