import cliProgress from 'cli-progress';
import { ModelCache } from '../encoders/cache.js';
import { throwIfCancelled } from '../errors.js';
import { verifyBundle } from '../fusion/bundle.js';
import { defaultBundlePath } from '../native.js';
import type { Context } from './context.js';
import { EXIT } from './exit.js';
import { describeError } from './failures.js';
import { columnsOf, padEnd, padStart, printable, styleFor, wrap } from './terminal.js';

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;

/** `cinefuse models`: every preset, and whether it is in the cache. */
export async function listModels({ json }: { json?: boolean }): Promise<number> {
  const cache = new ModelCache();
  const cached = new Map((await cache.listCached()).map((model) => [model.preset, model]));
  if (json) {
    const presets = cache.presets.map(({ spec, ...preset }) => ({
      ...preset,
      modality: spec.modality,
      dim: spec.dim,
      cached: cached.has(preset.name),
      commit: cached.get(preset.name)?.commit,
    }));
    process.stdout.write(`${JSON.stringify({ directory: cache.directory, presets }, null, 2)}\n`);
    return EXIT.ok;
  }
  const style = styleFor(process.stdout);
  const width = columnsOf(process.stdout) - 6;
  const lines: string[] = [];
  for (const preset of cache.presets) {
    const model = cached.get(preset.name);
    const size = model
      ? megabytes(model.files.reduce((sum, { bytes }) => sum + bytes, 0))
      : `about ${preset.megabytes} MB`;
    const state = model ? style.good('here') : style.dim('not fetched');
    lines.push(
      `${style.bold(padEnd(preset.name, 34))}${padEnd(preset.spec.modality, 8)}${padStart(size, 13)}   ${state}`,
    );
    const licence = `${preset.licence}${preset.commercialUse ? '' : ' (not for commercial use, or to be read first)'}`;
    lines.push(
      ...wrap(`${preset.use} · ${licence} · ${preset.repository}`, width).map(
        (line) => `    ${style.dim(line)}`,
      ),
    );
  }
  lines.push('', `cache: ${cache.directory}`, 'fetch one with: cinefuse models fetch NAME');
  process.stdout.write(`${lines.join('\n')}\n`);
  return EXIT.ok;
}

/** `cinefuse models fetch`: into the cache, with a bar on a terminal; what has come stays when it is cut off. */
export async function fetchModels(names: string[], { signal }: Context): Promise<number> {
  const cache = new ModelCache();
  let failed = 0;
  for (const name of names) {
    const bar = process.stderr.isTTY
      ? new cliProgress.SingleBar({
          stream: process.stderr,
          format: `${name} {bar} {percentage} %  {here} of {whole}  {eta_formatted} to go`,
          barCompleteChar: '█',
          barIncompleteChar: '░',
          barsize: 28,
          hideCursor: true,
          clearOnComplete: true,
          gracefulExit: false,
        })
      : undefined;
    bar?.start(1, 0, { here: '0 MB', whole: '?' });
    try {
      const model = await cache.download(name, {
        signal,
        onProgress: ({ done, total }) => {
          bar?.setTotal(total);
          bar?.update(done, { here: megabytes(done), whole: megabytes(total) });
        },
      });
      bar?.stop();
      const bytes = model.files.reduce((sum, file) => sum + file.bytes, 0);
      process.stdout.write(`${name}: ${megabytes(bytes)} at commit ${model.commit}, in ${model.directory}\n`);
    } catch (error) {
      bar?.stop();
      throwIfCancelled(signal);
      failed++;
      const { code, message } = describeError(error);
      process.stderr.write(`cinefuse: ${name}: ${printable(message)} (${code})\n`);
    }
  }
  if (failed === 0) return EXIT.ok;
  return failed < names.length ? EXIT.someFailed : EXIT.nothingWorked;
}

/** `cinefuse models verify`: every byte of the default bundle and of fetched presets against its SHA-256. */
export async function verifyModels(names: string[], { signal }: Context): Promise<number> {
  const cache = new ModelCache();
  const wanted = names.length > 0 ? names : (await cache.listCached()).map(({ preset }) => preset);
  let failed = 0;
  let checked = 0;
  const say = (what: string, problems: string[]) => {
    checked++;
    if (problems.length > 0) failed++;
    process.stdout.write(`${what}: ${problems.length === 0 ? 'good' : problems.map(printable).join('; ')}\n`);
  };
  const attempt = async (what: string, work: () => Promise<string[]>) => {
    try {
      say(what, await work());
    } catch (error) {
      throwIfCancelled(signal);
      say(what, [describeError(error).message]);
    }
  };
  if (names.length === 0) {
    await attempt('default bundle', async () => {
      await verifyBundle(defaultBundlePath(), { signal });
      return [];
    });
  }
  for (const name of wanted) {
    await attempt(name, async () => {
      const [model] = await cache.verify({ preset: name, signal });
      if (!model) return ['not in the cache'];
      return model.files
        .filter(({ ok }) => !ok)
        .map(({ path, problem }) => `${path}: ${problem ?? 'damaged'}`);
    });
  }
  if (failed === 0) return EXIT.ok;
  return failed < checked ? EXIT.someFailed : EXIT.nothingWorked;
}

/** `cinefuse models export`: the fusion network as one ONNX file. */
export async function exportModel(
  file: string,
  source: string | undefined,
  { signal }: Context,
): Promise<number> {
  const { loadBundle } = await import('../fusion/bundle.js');
  const { exportOnnx } = await import('../fusion/onnx-export.js');
  await using bundle = await loadBundle(source ?? defaultBundlePath(), { signal });
  const bytes = await exportOnnx(bundle, file, { signal });
  process.stdout.write(`${printable(file)}: ${megabytes(bytes)}\n`);
  return EXIT.ok;
}
