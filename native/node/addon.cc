// The table of exports. lib/native.ts describes it to TypeScript.
#include <dlfcn.h>
#include <napi.h>

#include "../core/exec.h"
#include "boundary.h"

namespace cinefuse {

Napi::Value activation_node(const Napi::CallbackInfo& info);
Napi::Value additive_attention_backward_node(const Napi::CallbackInfo& info);
Napi::Value activation_backward_node(const Napi::CallbackInfo& info);
Napi::Value additive_attention_prepare_node(const Napi::CallbackInfo& info);
Napi::Value additive_attention_run_node(const Napi::CallbackInfo& info);
Napi::Value cholesky_factor_node(const Napi::CallbackInfo& info);
Napi::Value cholesky_solve_node(const Napi::CallbackInfo& info);
Napi::Value conv_pool_backward_node(const Napi::CallbackInfo& info);
Napi::Value conv_pool_forward_node(const Napi::CallbackInfo& info);
Napi::Value conv_pool_prepare_node(const Napi::CallbackInfo& info);
Napi::Value conv_pool_run_node(const Napi::CallbackInfo& info);
Napi::Value create_fusion_network_node(const Napi::CallbackInfo& info);
Napi::Value cross_attention_backward_node(const Napi::CallbackInfo& info);
Napi::Value create_fusion_trainer_node(const Napi::CallbackInfo& info);
Napi::Value cross_attention_prepare_node(const Napi::CallbackInfo& info);
Napi::Value cross_attention_run_node(const Napi::CallbackInfo& info);
Napi::Value cross_modal_backward_node(const Napi::CallbackInfo& info);
Napi::Value device_memory_node(const Napi::CallbackInfo& info);
Napi::Value devices_node(const Napi::CallbackInfo& info);
Napi::Value dropout_node(const Napi::CallbackInfo& info);
Napi::Value embedding_backward_node(const Napi::CallbackInfo& info);
Napi::Value embedding_node(const Napi::CallbackInfo& info);
Napi::Value frames_node(const Napi::CallbackInfo& info);
Napi::Value frames_size_node(const Napi::CallbackInfo& info);
Napi::Value fusion_network_node(const Napi::CallbackInfo& info);
Napi::Value fusion_trainer_read_node(const Napi::CallbackInfo& info);
Napi::Value fusion_trainer_run_node(const Napi::CallbackInfo& info);
Napi::Value fusion_trainer_step_node(const Napi::CallbackInfo& info);
Napi::Value fusion_trainer_write_node(const Napi::CallbackInfo& info);
Napi::Value gram_node(const Napi::CallbackInfo& info);
Napi::Value kernel_matrix64_node(const Napi::CallbackInfo& info);
Napi::Value kernel_matrix_node(const Napi::CallbackInfo& info);
Napi::Value layer_norm_node(const Napi::CallbackInfo& info);
Napi::Value layer_norm_backward_node(const Napi::CallbackInfo& info);
Napi::Value linear_node(const Napi::CallbackInfo& info);
Napi::Value linear_backward_node(const Napi::CallbackInfo& info);
Napi::Value linear_prepare_node(const Napi::CallbackInfo& info);
Napi::Value linear_run_node(const Napi::CallbackInfo& info);
Napi::Value low_rank_fusion_backward_node(const Napi::CallbackInfo& info);
Napi::Value low_rank_fusion_forward_node(const Napi::CallbackInfo& info);
Napi::Value loss_node(const Napi::CallbackInfo& info);
Napi::Value low_rank_fusion_prepare_node(const Napi::CallbackInfo& info);
Napi::Value low_rank_fusion_run_node(const Napi::CallbackInfo& info);
Napi::Value lstm_backward_node(const Napi::CallbackInfo& info);
Napi::Value lstm_forward_node(const Napi::CallbackInfo& info);
Napi::Value lstm_prepare_node(const Napi::CallbackInfo& info);
Napi::Value lstm_run_node(const Napi::CallbackInfo& info);
Napi::Value mel_filterbank_node(const Napi::CallbackInfo& info);
Napi::Value mel_frames_node(const Napi::CallbackInfo& info);
Napi::Value mel_node(const Napi::CallbackInfo& info);
Napi::Value mel_plan_node(const Napi::CallbackInfo& info);
Napi::Value modality_attention_backward_node(const Napi::CallbackInfo& info);
Napi::Value modality_attention_prepare_node(const Napi::CallbackInfo& info);
Napi::Value modality_attention_run_node(const Napi::CallbackInfo& info);
Napi::Value open_device_library_node(const Napi::CallbackInfo& info);
Napi::Value outer_product_backward_node(const Napi::CallbackInfo& info);
Napi::Value optical_flow_node(const Napi::CallbackInfo& info);
Napi::Value optimizer_step_node(const Napi::CallbackInfo& info);
Napi::Value outer_product_node(const Napi::CallbackInfo& info);
Napi::Value power_to_db_node(const Napi::CallbackInfo& info);
Napi::Value product_node(const Napi::CallbackInfo& info);
Napi::Value product_transposed_node(const Napi::CallbackInfo& info);
Napi::Value reset_device_node(const Napi::CallbackInfo& info);
Napi::Value spatial_attention_node(const Napi::CallbackInfo& info);
Napi::Value spatial_attention_backward_node(const Napi::CallbackInfo& info);
Napi::Value squared_norm_node(const Napi::CallbackInfo& info);
Napi::Value temporal_attention_node(const Napi::CallbackInfo& info);
Napi::Value temporal_attention_backward_node(const Napi::CallbackInfo& info);
Napi::Value tensor_fusion_backward_node(const Napi::CallbackInfo& info);
Napi::Value tensor_fusion_forward_node(const Napi::CallbackInfo& info);
Napi::Value tensor_fusion_prepare_node(const Napi::CallbackInfo& info);
Napi::Value tensor_fusion_run_node(const Napi::CallbackInfo& info);
Napi::Value trim_device_node(const Napi::CallbackInfo& info);
Napi::Value word_vectors_node(const Napi::CallbackInfo& info);

namespace {

// info() -> what this build and machine have
Napi::Value info_node(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object result = Napi::Object::New(env);
  Napi::Array isas = Napi::Array::New(env);
  for (Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512}) {
    if (isa_supported(isa)) isas.Set(isas.Length(), isa_name(isa));
  }
  Napi::Array backends = Napi::Array::New(env);
  for (Backend backend : {Backend::kCpu, Backend::kEmulated, Backend::kCuda}) {
    if (backend_available(backend)) backends.Set(backends.Length(), backend_name(backend));
  }
  Napi::Array codes = Napi::Array::New(env);
  for (const char* name : kCodeNames) codes.Set(codes.Length(), name);
  result.Set("isas", isas);
  result.Set("bestIsa", isa_name(best_isa()));
  result.Set("backends", backends);
  result.Set("errorCodes", codes);
#if defined(__OPTIMIZE__)
  result.Set("optimized", true);
#else
  result.Set("optimized", false);
#endif
  result.Set("compiler", __VERSION__);
  return result;
}

// Node unloads an addon when the last worker thread that has it ends; the threads of our pool would go on in
// code that is gone. So the library stays for as long as the process lives.
void keep_loaded() {
  static const char here = 0;
  Dl_info library;
  if (dladdr(&here, &library) && library.dli_fname) dlopen(library.dli_fname, RTLD_NOW | RTLD_NODELETE);
}

}  // namespace

Napi::Object init(Napi::Env env, Napi::Object exports) {
  keep_loaded();
  exports.Set("info", guarded<info_node>(env, "info"));
  exports.Set("releaseHandle", guarded<release_handle>(env, "releaseHandle"));
  exports.Set("activation", guarded<activation_node>(env, "activation"));
  exports.Set("additiveAttentionBackward",
              guarded<additive_attention_backward_node>(env, "additiveAttentionBackward"));
  exports.Set("activationBackward", guarded<activation_backward_node>(env, "activationBackward"));
  exports.Set("additiveAttentionPrepare",
              guarded<additive_attention_prepare_node>(env, "additiveAttentionPrepare"));
  exports.Set("additiveAttentionRun", guarded<additive_attention_run_node>(env, "additiveAttentionRun"));
  exports.Set("choleskyFactor", guarded<cholesky_factor_node>(env, "choleskyFactor"));
  exports.Set("choleskySolve", guarded<cholesky_solve_node>(env, "choleskySolve"));
  exports.Set("convPoolBackward", guarded<conv_pool_backward_node>(env, "convPoolBackward"));
  exports.Set("convPoolForward", guarded<conv_pool_forward_node>(env, "convPoolForward"));
  exports.Set("convPoolPrepare", guarded<conv_pool_prepare_node>(env, "convPoolPrepare"));
  exports.Set("convPoolRun", guarded<conv_pool_run_node>(env, "convPoolRun"));
  exports.Set("createFusionNetwork", guarded<create_fusion_network_node>(env, "createFusionNetwork"));
  exports.Set("crossAttentionBackward",
              guarded<cross_attention_backward_node>(env, "crossAttentionBackward"));
  exports.Set("createFusionTrainer", guarded<create_fusion_trainer_node>(env, "createFusionTrainer"));
  exports.Set("crossAttentionPrepare", guarded<cross_attention_prepare_node>(env, "crossAttentionPrepare"));
  exports.Set("crossAttentionRun", guarded<cross_attention_run_node>(env, "crossAttentionRun"));
  exports.Set("crossModalBackward", guarded<cross_modal_backward_node>(env, "crossModalBackward"));
  exports.Set("deviceMemory", guarded<device_memory_node>(env, "deviceMemory"));
  exports.Set("devices", guarded<devices_node>(env, "devices"));
  exports.Set("dropout", guarded<dropout_node>(env, "dropout"));
  exports.Set("embedding", guarded<embedding_node>(env, "embedding"));
  exports.Set("embeddingBackward", guarded<embedding_backward_node>(env, "embeddingBackward"));
  exports.Set("frames", guarded<frames_node>(env, "frames"));
  exports.Set("framesSize", guarded<frames_size_node>(env, "framesSize"));
  exports.Set("fusionNetwork", guarded<fusion_network_node>(env, "fusionNetwork"));
  exports.Set("gram", guarded<gram_node>(env, "gram"));
  exports.Set("kernelMatrix", guarded<kernel_matrix_node>(env, "kernelMatrix"));
  exports.Set("kernelMatrix64", guarded<kernel_matrix64_node>(env, "kernelMatrix64"));
  exports.Set("fusionTrainerRead", guarded<fusion_trainer_read_node>(env, "fusionTrainerRead"));
  exports.Set("fusionTrainerRun", guarded<fusion_trainer_run_node>(env, "fusionTrainerRun"));
  exports.Set("fusionTrainerStep", guarded<fusion_trainer_step_node>(env, "fusionTrainerStep"));
  exports.Set("fusionTrainerWrite", guarded<fusion_trainer_write_node>(env, "fusionTrainerWrite"));
  exports.Set("layerNorm", guarded<layer_norm_node>(env, "layerNorm"));
  exports.Set("layerNormBackward", guarded<layer_norm_backward_node>(env, "layerNormBackward"));
  exports.Set("linear", guarded<linear_node>(env, "linear"));
  exports.Set("linearBackward", guarded<linear_backward_node>(env, "linearBackward"));
  exports.Set("linearPrepare", guarded<linear_prepare_node>(env, "linearPrepare"));
  exports.Set("linearRun", guarded<linear_run_node>(env, "linearRun"));
  exports.Set("lowRankFusionBackward", guarded<low_rank_fusion_backward_node>(env, "lowRankFusionBackward"));
  exports.Set("lowRankFusionForward", guarded<low_rank_fusion_forward_node>(env, "lowRankFusionForward"));
  exports.Set("loss", guarded<loss_node>(env, "loss"));
  exports.Set("lowRankFusionPrepare", guarded<low_rank_fusion_prepare_node>(env, "lowRankFusionPrepare"));
  exports.Set("lowRankFusionRun", guarded<low_rank_fusion_run_node>(env, "lowRankFusionRun"));
  exports.Set("mel", guarded<mel_node>(env, "mel"));
  exports.Set("lstmBackward", guarded<lstm_backward_node>(env, "lstmBackward"));
  exports.Set("lstmForward", guarded<lstm_forward_node>(env, "lstmForward"));
  exports.Set("lstmPrepare", guarded<lstm_prepare_node>(env, "lstmPrepare"));
  exports.Set("lstmRun", guarded<lstm_run_node>(env, "lstmRun"));
  exports.Set("melFilterbank", guarded<mel_filterbank_node>(env, "melFilterbank"));
  exports.Set("melFrames", guarded<mel_frames_node>(env, "melFrames"));
  exports.Set("melPlan", guarded<mel_plan_node>(env, "melPlan"));
  exports.Set("modalityAttentionBackward",
              guarded<modality_attention_backward_node>(env, "modalityAttentionBackward"));
  exports.Set("modalityAttentionPrepare",
              guarded<modality_attention_prepare_node>(env, "modalityAttentionPrepare"));
  exports.Set("modalityAttentionRun", guarded<modality_attention_run_node>(env, "modalityAttentionRun"));
  exports.Set("openDeviceLibrary", guarded<open_device_library_node>(env, "openDeviceLibrary"));
  exports.Set("outerProductBackward", guarded<outer_product_backward_node>(env, "outerProductBackward"));
  exports.Set("opticalFlow", guarded<optical_flow_node>(env, "opticalFlow"));
  exports.Set("optimizerStep", guarded<optimizer_step_node>(env, "optimizerStep"));
  exports.Set("outerProduct", guarded<outer_product_node>(env, "outerProduct"));
  exports.Set("powerToDb", guarded<power_to_db_node>(env, "powerToDb"));
  exports.Set("product", guarded<product_node>(env, "product"));
  exports.Set("productTransposed", guarded<product_transposed_node>(env, "productTransposed"));
  exports.Set("resetDevice", guarded<reset_device_node>(env, "resetDevice"));
  exports.Set("spatialAttention", guarded<spatial_attention_node>(env, "spatialAttention"));
  exports.Set("spatialAttentionBackward",
              guarded<spatial_attention_backward_node>(env, "spatialAttentionBackward"));
  exports.Set("squaredNorm", guarded<squared_norm_node>(env, "squaredNorm"));
  exports.Set("temporalAttention", guarded<temporal_attention_node>(env, "temporalAttention"));
  exports.Set("temporalAttentionBackward",
              guarded<temporal_attention_backward_node>(env, "temporalAttentionBackward"));
  exports.Set("tensorFusionBackward", guarded<tensor_fusion_backward_node>(env, "tensorFusionBackward"));
  exports.Set("tensorFusionForward", guarded<tensor_fusion_forward_node>(env, "tensorFusionForward"));
  exports.Set("tensorFusionPrepare", guarded<tensor_fusion_prepare_node>(env, "tensorFusionPrepare"));
  exports.Set("tensorFusionRun", guarded<tensor_fusion_run_node>(env, "tensorFusionRun"));
  exports.Set("trimDevice", guarded<trim_device_node>(env, "trimDevice"));
  exports.Set("wordVectors", guarded<word_vectors_node>(env, "wordVectors"));
  return exports;
}

}  // namespace cinefuse

static Napi::Object init(Napi::Env env, Napi::Object exports) { return cinefuse::init(env, exports); }

NODE_API_MODULE(cinefuse_native, init)
