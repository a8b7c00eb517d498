// Every operator of the library, in the order of cinefuse_operator; each is defined in its OP_cuda.cu.
#pragma once
#include "device.h"

namespace cinefuse::gpu {

extern const Operator kActivationOperator;
extern const Operator kAdditiveAttentionOperator;
extern const Operator kCrossAttentionOperator;
extern const Operator kFramesOperator;
extern const Operator kFusionNetworkOperator;
extern const Operator kFusionTrainingOperator;
extern const Operator kKernelMatrixOperator;
extern const Operator kLayerNormOperator;
extern const Operator kLinearOperator;
extern const Operator kLowRankFusionOperator;
extern const Operator kLowRankFusionTrainingOperator;
extern const Operator kMelOperator;
extern const Operator kModalityAttentionOperator;
extern const Operator kOuterProductOperator;
extern const Operator kPowerToDbOperator;
extern const Operator kSpatialAttentionOperator;
extern const Operator kTemporalAttentionOperator;
extern const Operator kTensorFusionOperator;
extern const Operator kTensorFusionTrainingOperator;
extern const Operator kActivationBackwardOperator;
extern const Operator kLayerNormBackwardOperator;
extern const Operator kLinearBackwardOperator;
extern const Operator kDropoutOperator;
extern const Operator kLossOperator;
extern const Operator kOpticalFlowOperator;
extern const Operator kOptimizerOperator;
extern const Operator kSquaredNormOperator;
extern const Operator kModalityAttentionBackwardOperator;
extern const Operator kTemporalAttentionBackwardOperator;
extern const Operator kAdditiveAttentionBackwardOperator;
extern const Operator kSpatialAttentionBackwardOperator;
extern const Operator kCrossAttentionBackwardOperator;
extern const Operator kCrossModalBackwardOperator;
extern const Operator kEmbeddingOperator;
extern const Operator kEmbeddingBackwardOperator;
extern const Operator kConvPoolOperator;
extern const Operator kConvPoolForwardOperator;
extern const Operator kConvPoolBackwardOperator;
extern const Operator kLstmOperator;
extern const Operator kLstmForwardOperator;
extern const Operator kLstmBackwardOperator;

constexpr const Operator* kOperators[CINEFUSE_OPERATORS] = {
    &kActivationOperator,                 // CINEFUSE_ACTIVATION
    &kLayerNormOperator,                  // CINEFUSE_LAYER_NORM
    &kLinearOperator,                     // CINEFUSE_LINEAR
    &kTensorFusionOperator,               // CINEFUSE_TENSOR_FUSION
    &kOuterProductOperator,               // CINEFUSE_OUTER_PRODUCT
    &kLowRankFusionOperator,              // CINEFUSE_LOW_RANK_FUSION
    &kModalityAttentionOperator,          // CINEFUSE_MODALITY_ATTENTION
    &kTemporalAttentionOperator,          // CINEFUSE_TEMPORAL_ATTENTION
    &kAdditiveAttentionOperator,          // CINEFUSE_ADDITIVE_ATTENTION
    &kSpatialAttentionOperator,           // CINEFUSE_SPATIAL_ATTENTION
    &kCrossAttentionOperator,             // CINEFUSE_CROSS_ATTENTION
    &kMelOperator,                        // CINEFUSE_MEL
    &kPowerToDbOperator,                  // CINEFUSE_POWER_TO_DB
    &kFramesOperator,                     // CINEFUSE_FRAMES
    &kFusionNetworkOperator,              // CINEFUSE_FUSION_NETWORK
    &kFusionTrainingOperator,             // CINEFUSE_FUSION_TRAINING
    &kKernelMatrixOperator,               // CINEFUSE_KERNEL_MATRIX
    &kActivationBackwardOperator,         // CINEFUSE_ACTIVATION_BACKWARD
    &kLayerNormBackwardOperator,          // CINEFUSE_LAYER_NORM_BACKWARD
    &kLinearBackwardOperator,             // CINEFUSE_LINEAR_BACKWARD
    &kDropoutOperator,                    // CINEFUSE_DROPOUT
    &kLossOperator,                       // CINEFUSE_LOSS
    &kOptimizerOperator,                  // CINEFUSE_OPTIMIZER
    &kSquaredNormOperator,                // CINEFUSE_SQUARED_NORM
    &kModalityAttentionBackwardOperator,  // CINEFUSE_MODALITY_ATTENTION_BACKWARD
    &kTemporalAttentionBackwardOperator,  // CINEFUSE_TEMPORAL_ATTENTION_BACKWARD
    &kAdditiveAttentionBackwardOperator,  // CINEFUSE_ADDITIVE_ATTENTION_BACKWARD
    &kSpatialAttentionBackwardOperator,   // CINEFUSE_SPATIAL_ATTENTION_BACKWARD
    &kCrossAttentionBackwardOperator,     // CINEFUSE_CROSS_ATTENTION_BACKWARD
    &kCrossModalBackwardOperator,         // CINEFUSE_CROSS_MODAL_BACKWARD
    &kTensorFusionTrainingOperator,       // CINEFUSE_TENSOR_FUSION_TRAINING
    &kLowRankFusionTrainingOperator,      // CINEFUSE_LOW_RANK_FUSION_TRAINING
    &kEmbeddingOperator,                  // CINEFUSE_EMBEDDING
    &kEmbeddingBackwardOperator,          // CINEFUSE_EMBEDDING_BACKWARD
    &kConvPoolOperator,                   // CINEFUSE_CONV_POOL
    &kConvPoolForwardOperator,            // CINEFUSE_CONV_POOL_FORWARD
    &kConvPoolBackwardOperator,           // CINEFUSE_CONV_POOL_BACKWARD
    &kLstmOperator,                       // CINEFUSE_LSTM
    &kLstmForwardOperator,                // CINEFUSE_LSTM_FORWARD
    &kLstmBackwardOperator,               // CINEFUSE_LSTM_BACKWARD
    &kOpticalFlowOperator,                // CINEFUSE_OPTICAL_FLOW
};

}  // namespace cinefuse::gpu
