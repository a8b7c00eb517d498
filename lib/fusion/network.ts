export {
  type FusionKind,
  type FusionNetworkSpec,
  fusionNetworkSchema,
  NETWORK_ACTIVATIONS,
  parseFusionNetworkSpec,
  weightShapes,
} from './network-spec.js';
