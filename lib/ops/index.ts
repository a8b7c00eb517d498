/** `cinefuse/ops`: the operators, usable on their own. */
export { type Activation, activation, activationSync, logSoftmax, softmax } from './activation.js';
export { type Backend, defaultIsa, defaultThreads, type ExecOptions, type Isa } from './exec.js';
export {
  type ChromaSiting,
  type FrameFilter,
  type FrameInput,
  type FramesOptions,
  type FrameTransform,
  frameSize,
  frames,
  type GrayInput,
  type ResizeTransform,
  type RgbaInput,
  type RgbInput,
  type RgbPicture,
  resize,
  type YuvInput,
  yuvToRgb,
} from './frames.js';
export { Linear, type LinearLayer, type LinearOptions, linear } from './linear.js';
export {
  type DecibelOptions,
  type KaldiOptions,
  kaldiFbank,
  type LinearSpectrogramOptions,
  linearSpectrogram,
  type MelFilterbank,
  type MelFilterbankOptions,
  type MelOptions,
  type MelScale,
  melFilterbank,
  melSpectrogram,
  type PadMode,
  powerToDb,
  Spectrogram,
  type SpectrogramResult,
  type SpectrogramRunOptions,
  type SpectrogramScaling,
  type SpectrogramSpec,
  type SpectrogramWindow,
  type WhisperOptions,
  whisperLogMel,
} from './mel.js';
export { Prepared } from './prepared.js';
export { type LayerNormOptions, layerNorm } from './layer_norm.js';
export { LowRankFusion, type LowRankFusionLayer } from './low_rank_fusion.js';
export {
  type FusionOptions,
  type OuterProductOptions,
  outerProduct,
  TensorFusion,
  type TensorFusionLayer,
} from './tensor_fusion.js';
export {
  type AttentionOptions,
  type AttentionResult,
  type ModalityAttentionInput,
  type ModalityAttentionWeights,
  modalityAttention,
} from './modality_attention.js';
export {
  type AdditiveAttentionInput,
  additiveAttention,
  CrossAttention,
  type CrossAttentionInput,
  type CrossAttentionLayer,
  type CrossAttentionOptions,
  type CrossAttentionResult,
  type SpatialAttentionInput,
  spatialAttention,
  type TemporalAttentionInput,
  temporalAttention,
} from './sequence_attention.js';
