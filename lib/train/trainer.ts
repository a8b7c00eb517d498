export type {
  HeadLoss,
  OptimizerOptions,
  TrainerData,
  TrainerOptions,
  TrainerResult,
  TrainerState,
  TrainerSteps,
} from './trainer-types.js';
