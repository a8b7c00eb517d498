/** `cinefuse/ops`: the operators, usable on their own. */
export { type Activation, activation, activationSync, logSoftmax, softmax } from './activation.js';
export {
  type ActivationBackwardInput,
  type ActivationBackwardOptions,
  activationBackward,
  type DifferentiableActivation,
} from './activation_backward.js';
export {
  type CudaState,
  type DeviceMemory,
  type DeviceStatus,
  deviceMemory,
  findCuda,
  listDevices,
  resetDevice,
  trimDevice,
} from './devices.js';
export type { DeviceBackend, DeviceLibrary } from './backends.js';
export {
  type Backend,
  defaultIsa,
  defaultThreads,
  type ExecOptions,
  type ExecPrecision,
  type Isa,
  type Precision,
} from './exec.js';
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
export { type OpticalFlowInput, type OpticalFlowOptions, opticalFlow } from './optical_flow.js';
export {
  addGram,
  addProductTransposed,
  type CholeskyOptions,
  choleskyFactor,
  choleskySolve,
  product64,
} from './cholesky.js';
export {
  type Kernel,
  type KernelInput,
  type KernelMatrixInput,
  kernelMatrix,
  kernelMatrix64,
} from './kernel_matrix.js';
export {
  ConvPool,
  type ConvPoolActivation,
  type ConvPoolInput,
  type ConvPoolLayer,
  type ConvPoolOptions,
  type ConvPoolWindow,
} from './conv_pool.js';
export {
  type ConvPoolBackwardInput,
  type ConvPoolForwardInput,
  type ConvPoolForwardResult,
  type ConvPoolGradients,
  convPoolBackward,
  convPoolForward,
} from './conv_pool_backward.js';
export {
  type EmbeddingBackwardInput,
  type EmbeddingBackwardOptions,
  type EmbeddingOptions,
  embedding,
  embeddingBackward,
} from './embedding.js';
export { type DropoutOptions, dropout } from './dropout.js';
export { Linear, type LinearLayer, type LinearOptions, linear } from './linear.js';
export {
  type LinearBackwardInput,
  type LinearBackwardOptions,
  type LinearGradients,
  linearBackward,
} from './linear_backward.js';
export {
  type Loss,
  type LossInput,
  type LossOptions,
  type LossReduction,
  type LossResult,
  loss,
} from './loss.js';
export {
  kaldiFbank,
  linearSpectrogram,
  type MelFilterbank,
  melFilterbank,
  melSpectrogram,
  powerToDb,
  Spectrogram,
  type SpectrogramResult,
  type SpectrogramRunOptions,
  whisperLogMel,
} from './mel.js';
export { Prepared } from './prepared.js';
export { type LayerNormOptions, layerNorm } from './layer_norm.js';
export {
  type LayerNormBackwardInput,
  type LayerNormBackwardOptions,
  type LayerNormGradients,
  layerNormBackward,
} from './layer_norm_backward.js';
export {
  type Optimizer,
  type OptimizerStepOptions,
  type OptimizerStepState,
  optimizerStep,
  squaredNorm,
} from './optimizer.js';
export { LowRankFusion, type LowRankFusionLayer } from './low_rank_fusion.js';
export {
  type LowRankFusionGradients,
  type LowRankFusionInput,
  lowRankFusionBackward,
  lowRankFusionForward,
} from './low_rank_fusion_backward.js';
export {
  Lstm,
  type LstmLayer,
  type LstmResult,
  type LstmRunOptions,
  type LstmSequence,
} from './lstm.js';
export {
  type LstmBackwardInput,
  type LstmForwardResult,
  type LstmGradients,
  type LstmInput,
  lstmBackward,
  lstmForward,
} from './lstm_backward.js';
export {
  outerProductBackward,
  type TensorFusionGradients,
  type TensorFusionInput,
  tensorFusionBackward,
  tensorFusionForward,
} from './tensor_fusion_backward.js';
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
  ModalityAttention,
  type ModalityAttentionInput,
  type ModalityAttentionLayer,
} from './modality_attention.js';
export { type CrossModalGradients, crossModalBackward } from './cross_modal_backward.js';
export { type ModalityAttentionGradients, modalityAttentionBackward } from './modality_attention_backward.js';
export {
  type AdditiveAttentionGradients,
  additiveAttentionBackward,
  type CrossAttentionGradients,
  crossAttentionBackward,
  type SpatialAttentionGradients,
  spatialAttentionBackward,
  type TemporalAttentionGradients,
  temporalAttentionBackward,
} from './sequence_attention_backward.js';
export {
  AdditiveAttention,
  type AdditiveAttentionInput,
  type AdditiveAttentionLayer,
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
export type {
  DecibelOptions,
  KaldiOptions,
  LinearSpectrogramOptions,
  MelFilterbankOptions,
  MelOptions,
  MelScale,
  PadMode,
  SpectrogramScaling,
  SpectrogramSpec,
  SpectrogramWindow,
  WhisperOptions,
} from './spectrogram-spec.js';
export type { WeightType } from './weights.js';
