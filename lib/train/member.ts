/** Training one network from its initial weights, or from where a checkpoint left it, to its end. */
import { CancelledError, TrainError } from '../errors.js';
import type { NetworkWeight } from '../fusion/network.js';
import type { ExecOptions } from '../ops/exec.js';
import type { MemberState } from './checkpoint.js';
import type { TrainingConfig } from './config.js';
import { drawEpoch } from './draws.js';
import type { EpochRecord, MemberHistory } from './fit-types.js';
import { initialWeights } from './initialise.js';
import type { PreparedFit } from './prepare.js';
import { seedOf } from './random.js';
import { learningRates } from './schedule.js';
import { FusionTrainer, type OptimizerOptions } from './trainer.js';
import { metricOf, validate } from './validate.js';

export interface MemberCalls {
  /** Where and how everything runs, without a signal: between two calls the state is whole. */
  exec: Omit<ExecOptions, 'signal'>;
  signal: AbortSignal | undefined;
  /** After every call. */
  onSteps(at: { epoch: number; stepsDone: number; loss: number; record: EpochRecord | undefined }): void;
  /** Asked after every call whether a checkpoint is due. */
  checkpointDue(epochEnded: boolean): boolean;
  checkpoint(state: MemberState): Promise<void>;
  /** Where checkpoints go, if anywhere; and whether one is there already. */
  file: string | undefined;
  hasCheckpoint(): boolean;
}

export interface TrainedMember {
  history: MemberHistory;
  weights: ReadonlyMap<string, NetworkWeight>;
}

/** How long one call is meant to take: what a cancellation waits for. */
const CALL_MS = 250;

export function stepsPerEpoch(prepared: PreparedFit, { batchSize }: TrainingConfig): number {
  return Math.ceil(prepared.plan.rows.length / batchSize);
}

/** The configuration's optimiser as a trainer takes it: the rate comes with each step. */
function optimizerOf({ optimizer, l1, clipNorm }: TrainingConfig): OptimizerOptions {
  const { learningRate: _, ...update } = optimizer;
  const given = Object.entries({ ...update, l1, clipNorm }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as unknown as OptimizerOptions;
}

/** Nothing has been trained yet. */
export function newMember(prepared: PreparedFit, seed: number): MemberState {
  return {
    seed,
    epoch: 1,
    stepInEpoch: 0,
    sums: { loss: 0, losses: prepared.targets.losses.map(() => 0), gradientNorm: 0 },
    records: [],
    patience: 0,
    weights: initialWeights(prepared.spec, seed, prepared.fixed),
    trainer: { step: 0, moments: new Map() },
  };
}

/**
 * @throws TrainError ERR_TRAIN_DIVERGED  after a checkpoint, where none has been written yet
 * @throws CancelledError ERR_CANCELLED   after a checkpoint
 */
export async function trainMember(
  prepared: PreparedFit,
  training: TrainingConfig,
  start: MemberState,
  calls: MemberCalls,
): Promise<TrainedMember> {
  const { spec, plan, data, targets, table, valid } = prepared;
  const { earlyStopping, batchSize, epochs } = training;
  const steps = stepsPerEpoch(prepared, training);
  const stopBy = earlyStopping
    ? metricOf(earlyStopping.metric, targets.heads, 'training.earlyStopping.metric')
    : undefined;
  const state = { ...start, sums: { ...start.sums }, records: [...start.records] };
  using trainer = FusionTrainer.create(
    {
      spec,
      weights: state.weights,
      losses: targets.losses,
      optimizer: optimizerOf(training),
      dropout: training.dropout,
      inputDropout: training.inputDropout,
      seed: seedOf(state.seed, 'dropout'),
      frozen: training.frozen,
    },
    calls.exec,
  );
  if (state.trainer.step > 0) trainer.restore(state.trainer);
  const now = (): MemberState => ({ ...state, weights: trainer.weights(), trainer: trainer.state() });
  let record: EpochRecord | undefined = state.records.at(-1);
  let stopped: MemberHistory['stopped'] = 'epochs';
  const cancelled = async () => {
    if (!calls.signal?.aborted) return;
    await calls.checkpoint(now());
    throw new CancelledError({ cause: calls.signal.reason });
  };

  for (; state.epoch <= epochs; state.epoch++) {
    await cancelled();
    const draw = drawEpoch(plan, state.seed, state.epoch);
    const rates = learningRates(training, steps, (state.epoch - 1) * steps, steps);
    let count = Math.min(steps, 2);
    while (state.stepInEpoch < steps) {
      const from = state.stepInEpoch;
      const to = Math.min(steps, from + count);
      const started = performance.now();
      let result: Awaited<ReturnType<FusionTrainer['run']>>;
      try {
        result = await trainer.run(
          data,
          {
            rows: draw.rows.subarray(from * batchSize, to * batchSize),
            batchSize,
            learningRates: rates.subarray(from, to),
            present: draw.present,
            variants: draw.variants,
          },
          calls.exec,
        );
      } catch (cause) {
        if (!(cause instanceof TrainError) || cause.code !== 'ERR_TRAIN_DIVERGED') throw cause;
        // The weights are those before the step that went wrong.
        state.stepInEpoch = Math.max(0, trainer.step - (state.epoch - 1) * steps);
        if (!calls.hasCheckpoint()) await calls.checkpoint(now());
        throw diverged(cause, state, calls.file);
      }
      const { sums } = state;
      const heads = sums.losses.length;
      for (let i = 0; i < to - from; i++) {
        sums.loss += result.losses[i]!;
        for (let h = 0; h < heads; h++) sums.losses[h]! += result.headLosses[i * heads + h]!;
        sums.gradientNorm = Math.max(sums.gradientNorm, result.gradientNorms[i]!);
      }
      state.stepInEpoch = to;
      const ms = performance.now() - started;
      count = Math.max(1, Math.min(4 * count, Math.round(((to - from) * CALL_MS) / Math.max(ms, 1))));
      const loss = sums.loss / to;
      calls.onSteps({ epoch: state.epoch, stepsDone: (state.epoch - 1) * steps + to, loss, record });
      if (to === steps) break;
      await cancelled();
      if (calls.checkpointDue(false)) await calls.checkpoint(now());
    }

    record = {
      epoch: state.epoch,
      learningRate: rates[steps - 1]!,
      loss: state.sums.loss / steps,
      losses: Object.fromEntries(targets.losses.map(({ head }, h) => [head, state.sums.losses[h]! / steps])),
      gradientNorm: state.sums.gradientNorm,
    };
    const weights = valid.length > 0 ? trainer.weights() : undefined;
    if (weights) record.valid = await validate(spec, weights, table, targets, valid, calls.exec);
    state.records.push(record);
    state.stepInEpoch = 0;
    state.sums = { loss: 0, losses: targets.losses.map(() => 0), gradientNorm: 0 };
    const value = record.valid && stopBy?.read(record.valid);
    if (earlyStopping && stopBy) {
      const better =
        value !== undefined &&
        (!state.best ||
          (stopBy.moreIsBetter
            ? value > state.best.value + earlyStopping.minDelta
            : value < state.best.value - earlyStopping.minDelta));
      if (better) state.best = { epoch: state.epoch, value, weights: weights! };
      state.patience = better ? 0 : state.patience + 1;
      if (state.patience >= earlyStopping.patience) stopped = 'early';
    }
    calls.onSteps({
      epoch: state.epoch,
      stepsDone: state.epoch * steps,
      loss: record.loss,
      record,
    });
    if (stopped === 'early') break;
    if (calls.checkpointDue(true)) {
      await calls.checkpoint({ ...now(), epoch: state.epoch + 1 });
    }
  }

  const best = earlyStopping !== false && earlyStopping.restoreBest ? state.best : undefined;
  const bestEpoch = best?.epoch ?? state.records.length;
  return {
    history: { seed: state.seed, epochs: state.records, bestEpoch, stopped },
    weights: best?.weights ?? trainer.weights(),
  };
}

function diverged(cause: TrainError, { epoch, seed }: MemberState, file: string | undefined): TrainError {
  const kept = file === undefined ? '' : `. The last good state is in ${file}`;
  return new TrainError('ERR_TRAIN_DIVERGED', {
    field: cause.field,
    file,
    message: `${cause.message} (epoch ${epoch}, seed ${seed})${kept}`,
    cause,
  });
}
