import { InputError, TrainError } from '../errors.js';
import { type NetworkWeight, parseFusionNetworkSpec, weightOf, weightShapes } from '../fusion/network.js';
import type { NativeHandle } from '../native.js';
import { type ExecOptions, execute, executeSync } from '../ops/exec.js';
import { Prepared } from '../ops/prepared.js';
import { compileTraining, type TrainingProgram } from './program.js';
import { arrangeData, checkSteps, checkTrainerOptions } from './trainer-checks.js';
import type {
  TrainerData,
  TrainerOptions,
  TrainerResult,
  TrainerState,
  TrainerSteps,
} from './trainer-types.js';

export type {
  HeadLoss,
  OptimizerOptions,
  TrainerData,
  TrainerOptions,
  TrainerResult,
  TrainerState,
  TrainerSteps,
} from './trainer-types.js';

export interface TrainerRunOptions extends ExecOptions {
  /** Called some times a second with how many of the call's steps are done. */
  onSteps?: ((done: number, all: number) => void) | undefined;
}

/** In the order of native/ops/fusion_training/fusion_training_node.cc. */
const PARAMETERS = 0;
const MOMENTS = [
  ['first', 1],
  ['second', 2],
] as const;
/** In the order of `enum class TrainingEnd`. */
const DONE = 0;
const VALUE = 1;
const LOSS = 2;
/** How long a native call is meant to take: between two the caller hears of progress. */
const CALL_MS = 120;

/**
 * Trains the weights of a fusion network. Many steps run in one native call: of each batch the films that have a
 * modality, and no others, go forwards through exactly the network that FusionNetwork describes, then losses,
 * gradients, clipping and one fused pass of the optimiser. What it trains, FusionNetwork runs as it is.
 *
 * Weights, moments and step count live in native memory. The same seed gives the same weights bit for bit, on any
 * number of threads of one instruction set, in one `run` or in many, and after `restore`. A call that is cancelled or
 * fails leaves them as they were between two steps.
 *
 * Source: Kingma and Ba 2015 (Adam), Loshchilov and Hutter 2019 (AdamW), Srivastava et al. 2014 (dropout), Pascanu et
 * al. 2013 (clipping).
 */
export class FusionTrainer extends Prepared {
  readonly options: TrainerOptions;
  #program: TrainingProgram;
  #running = false;

  private constructor(handle: NativeHandle, options: TrainerOptions, program: TrainingProgram) {
    super(handle);
    this.options = options;
    this.#program = program;
  }

  /**
   * @throws TrainError  ERR_TRAIN_CONFIG    an option out of its range, a head or weight that the network does not have
   * @throws BundleError ERR_BUNDLE_FORMAT, ERR_BUNDLE_SHAPE  a spec or weights as FusionNetwork.create refuses them
   */
  static create(options: TrainerOptions, exec?: Omit<ExecOptions, 'signal'>): FusionTrainer {
    const spec = parseFusionNetworkSpec(options.spec);
    const whole = { ...options, spec };
    checkTrainerOptions(whole);
    const program = compileTraining(whole);
    const parameters = new Float32Array(program.parameterCount);
    for (const [places, array] of [
      [program.parameters, parameters],
      [program.scalers, program.constants],
    ] as const) {
      for (const [name, { shape, at }] of places) array.set(weightOf(options.weights, name, shape), at);
    }
    const names = [
      ...spec.modalities.map(({ name }) => name),
      ...program.targets.map(({ head }) => `targets.${head}`),
    ];
    const handle = executeSync(exec, (addon, code, cancel) =>
      addon.createFusionTrainer(
        code,
        cancel,
        names,
        program.integers,
        program.numbers,
        parameters,
        program.constants,
      ),
    );
    return new FusionTrainer(handle, whole, program);
  }

  /** Steps done. */
  get step(): number {
    return executeSync(undefined, (addon, exec, cancel) =>
      addon.fusionTrainerStep(exec, cancel, this.handle, undefined),
    );
  }

  /**
   * Trains for some steps. One run at a time.
   *
   * @throws TrainError  ERR_TRAIN_DIVERGED  a loss or gradient that is not finite; `field` names the first layer with
   *   such a number. The weights are those before that step
   * @throws InputError  ERR_INPUT_VALUE, ERR_INPUT_EMPTY  what a step cannot take: a film without any modality, an
   *   infinite or NaN value of a present modality, a target out of its range; steps before it are done
   * @throws ShapeError  ERR_SHAPE  arrays that do not fit each other and the spec
   * @throws DisposedError ERR_DISPOSED
   * @throws CancelledError ERR_CANCELLED  between two steps
   */
  async run(data: TrainerData, steps: TrainerSteps, options: TrainerRunOptions = {}): Promise<TrainerResult> {
    const { handle } = this;
    this.#idle();
    const { spec, losses } = this.options;
    const arranged = arrangeData(spec, this.#program.targets, data);
    checkSteps(steps);
    const { rows, batchSize, learningRates, present, variants } = steps;
    const all = learningRates.length;
    const result: TrainerResult = {
      losses: new Float32Array(all),
      headLosses: new Float32Array(all * losses.length),
      gradientNorms: new Float32Array(all),
    };
    this.#running = true;
    try {
      let calls = Math.min(all, 4);
      for (let done = 0; done < all; ) {
        const count = Math.min(calls, all - done);
        const started = performance.now();
        const [loss, each, norms, end] = await execute(options, (addon, exec, cancel) =>
          addon.fusionTrainerRun(
            exec,
            cancel,
            handle,
            data.films,
            arranged.values,
            arranged.shapes,
            arranged.lengths,
            arranged.targets,
            data.weights,
            present,
            variants,
            rows.subarray(done * batchSize, (done + count) * batchSize),
            batchSize,
            learningRates.subarray(done, done + count),
          ),
        );
        if (end[0] !== DONE) throw this.#diverged(end, loss, norms);
        result.losses.set(loss, done);
        result.headLosses.set(each, done * losses.length);
        result.gradientNorms.set(norms, done);
        done += count;
        options.onSteps?.(done, all);
        const ms = performance.now() - started;
        calls = Math.max(1, Math.min(count * 4, Math.round((count * CALL_MS) / Math.max(ms, 1))));
      }
    } finally {
      this.#running = false;
    }
    return result;
  }

  /** A copy of all weights, scalers included, under the names of `weightShapes(spec)`. */
  weights(): Map<string, NetworkWeight> {
    const { parameters, scalers, constants } = this.#program;
    const array = this.#read(PARAMETERS);
    const weights = new Map<string, NetworkWeight>();
    for (const name of weightShapes(this.options.spec).keys()) {
      const trained = parameters.get(name);
      const { shape, at, size } = trained ?? scalers.get(name)!;
      weights.set(name, { shape: [...shape], data: (trained ? array : constants).slice(at, at + size) });
    }
    return weights;
  }

  /** What a trainer made of `weights()` and the same options needs to go on as if nothing had been between. */
  state(): TrainerState {
    const moments = new Map<string, NetworkWeight>();
    for (const [moment, which] of MOMENTS) {
      const array = this.#read(which);
      if (array.length === 0) continue;
      for (const [name, { shape, at, size }] of this.#program.parameters) {
        moments.set(`${moment}.${name}`, { shape: [...shape], data: array.slice(at, at + size) });
      }
    }
    return { step: this.step, moments };
  }

  /** @throws TrainError ERR_TRAIN_CHECKPOINT  a state of another network or optimiser; nothing is changed then */
  restore(state: TrainerState): void {
    const { handle } = this;
    const arrays = MOMENTS.map(([moment, which]) => {
      const array = this.#read(which);
      if (array.length === 0) return array;
      for (const [name, { shape, at, size }] of this.#program.parameters) {
        const field = `${moment}.${name}`;
        const data = state.moments.get(field)?.data;
        if (!(data instanceof Float32Array) || data.length !== size) {
          throw new TrainError('ERR_TRAIN_CHECKPOINT', {
            field,
            expected: `a moment of shape [${shape.join(', ')}]`,
            got: data === undefined ? 'none of that name' : `${data.length} numbers`,
          });
        }
        array.set(data, at);
      }
      return array;
    });
    if (!Number.isSafeInteger(state.step) || state.step < 0) {
      throw new TrainError('ERR_TRAIN_CHECKPOINT', {
        field: 'step',
        expected: 'an integer of 0 or more',
        got: String(state.step),
      });
    }
    executeSync(undefined, (addon, exec, cancel) => {
      for (const [i, [, which]] of MOMENTS.entries()) {
        addon.fusionTrainerWrite(exec, cancel, handle, which, arrays[i]!);
      }
      return addon.fusionTrainerStep(exec, cancel, handle, state.step);
    });
  }

  #read(which: number): Float32Array {
    const { handle } = this;
    this.#idle();
    return executeSync(undefined, (addon, exec, cancel) =>
      addon.fusionTrainerRead(exec, cancel, handle, which),
    );
  }

  #idle(): void {
    if (!this.#running) return;
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'trainer',
      expected: 'a trainer that no run is training',
      got: 'one in the middle of a run',
    });
  }

  #diverged(end: Int32Array, losses: Float32Array, norms: Float32Array): TrainError {
    const [kind, at, which] = end as unknown as [number, number, number];
    const { nodeNames, lossNames } = this.#program;
    const name = which < 0 ? undefined : (kind === LOSS ? lossNames : nodeNames)[which];
    const what = kind === VALUE ? 'output' : kind === LOSS ? 'loss' : 'gradient';
    const where = name === undefined ? '' : `: the first ${what} that is not finite is that of ${name}`;
    const step = this.step + 1;
    return new TrainError('ERR_TRAIN_DIVERGED', {
      field: name ?? 'gradients',
      message: `Training diverged in step ${step}${where} (loss ${losses[at]}, gradient norm ${norms[at]}). A lower learning rate or clipNorm helps most often`,
    });
  }
}
