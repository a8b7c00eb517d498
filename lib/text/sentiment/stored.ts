/** How a fitted classifier lies on disk: a directory with `classifier.json` and the files that it lists. */
import { createHash, randomBytes } from 'node:crypto';
import { lstat, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { MAX_CLASSES } from './checks.js';
import { isPathInside, readVerified, resolveInside } from '../../encoders/files.js';
import { describeValue, InputError, ModelError } from '../../errors.js';
import { parseSafetensors, type StoredTensor, serializeSafetensors } from '../../formats/safetensors.js';

const HEADER = 'classifier.json';
const MAX_HEADER_BYTES = 64 * 2 ** 20;
/** Most bytes of one file, and most files. */
const MAX_FILE_BYTES = 2 * 2 ** 30;
const MAX_FILES = 100;
export const WEIGHTS = 'weights.safetensors';

const headerSchema = z.strictObject({
  format: z.literal('cinefuse-review-classifier'),
  version: z.literal(1),
  kind: z.string().min(1),
  languages: z.array(z.string().min(1)).min(1).max(1000),
  classes: z.array(z.string().min(1)).min(2).max(MAX_CLASSES),
  /** What the kind needs beside its files; checked by the kind. */
  settings: z.record(z.string(), z.unknown()),
  files: z.record(
    z.string(),
    z.strictObject({
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
      bytes: z.int().min(0).max(MAX_FILE_BYTES),
    }),
  ),
});

export type ClassifierHeader = z.infer<typeof headerSchema>;

/** What a kind saves. */
export interface ClassifierContents {
  kind: string;
  languages: readonly string[];
  classes: readonly string[];
  /** Plain data. */
  settings: Record<string, unknown>;
  /** Written as weights.safetensors. */
  tensors: ReadonlyMap<string, StoredTensor>;
  /** Others by name, such as "model.onnx" or "vocabulary.txt". */
  files?: Readonly<Record<string, Uint8Array>> | undefined;
}

/** What was saved, as it is read again. */
export interface StoredClassifier {
  directory: string;
  header: ClassifierHeader;
  tensors: ReadonlyMap<string, StoredTensor>;
  /** The bytes of another file, checked. @throws ModelError ERR_MODEL_NOT_FOUND, ERR_MODEL_CHECKSUM */
  file(name: string): Promise<Uint8Array>;
}

/**
 * Writes a classifier: into a new directory beside the target, which takes its place when it is whole.
 *
 * @throws InputError ERR_INPUT_TYPE  no path
 * @throws ModelError ERR_MODEL_IO    something is there already, the disk is full, no permission
 */
export async function writeStored(directory: string, contents: ClassifierContents): Promise<void> {
  if (typeof directory !== 'string' || directory === '') {
    throw new InputError('ERR_INPUT_TYPE', {
      field: 'directory',
      expected: 'a path',
      got: describeValue(directory),
    });
  }
  if (await lstat(directory).catch(() => undefined)) {
    throw new ModelError('ERR_MODEL_IO', {
      file: directory,
      expected: 'a directory that is not there yet',
      got: 'an existing one',
    });
  }
  const files: Record<string, Uint8Array> = {
    ...contents.files,
    [WEIGHTS]: serializeSafetensors(contents.tensors),
  };
  const header: ClassifierHeader = {
    format: 'cinefuse-review-classifier',
    version: 1,
    kind: contents.kind,
    languages: [...contents.languages],
    classes: [...contents.classes],
    settings: contents.settings,
    files: Object.fromEntries(
      Object.entries(files).map(([name, bytes]) => [
        name,
        { sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.byteLength },
      ]),
    ),
  };
  const target = path.resolve(directory);
  const draft = path.join(
    path.dirname(target),
    `.${path.basename(target)}.${randomBytes(6).toString('hex')}.new`,
  );
  try {
    await mkdir(path.dirname(target), { recursive: true });
    // Not recursively: where nothing can be made (/proc), Node's recursive mkdir tries for ever.
    await mkdir(draft);
    const json = Buffer.from(`${JSON.stringify(header, null, 1)}\n`);
    for (const [name, bytes] of Object.entries({ ...files, [HEADER]: json })) {
      await writeSynced(path.join(draft, name), bytes);
    }
    await rename(draft, target);
  } catch (cause) {
    throw new ModelError('ERR_MODEL_IO', {
      file: directory,
      message: `The classifier ${directory} could not be written: ${(cause as Error).message}`,
      cause,
    });
  } finally {
    // A path that cannot be has left nothing either.
    await rm(draft, { recursive: true, force: true }).catch(() => {});
  }
}

async function writeSynced(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, 'wx', 0o644);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** @throws InputError ERR_INPUT_TYPE; ModelError ERR_MODEL_NOT_FOUND, ERR_MODEL_SPEC, ERR_MODEL_CHECKSUM, ERR_MODEL_LOAD */
export async function readStored(directory: string): Promise<StoredClassifier> {
  if (typeof directory !== 'string' || directory === '') {
    throw new InputError('ERR_INPUT_TYPE', {
      field: 'directory',
      expected: 'a path',
      got: describeValue(directory),
    });
  }
  const header = await readHeader(directory);
  const read = async (name: string): Promise<Buffer> => {
    const listed = Object.hasOwn(header.files, name) ? header.files[name] : undefined;
    if (listed === undefined) {
      throw new ModelError('ERR_MODEL_SPEC', {
        field: 'files',
        file: path.join(directory, HEADER),
        expected: `an entry for ${name}`,
        got: 'none',
      });
    }
    return readVerified({ path: await resolveInside(directory, name, name), ...listed, field: name });
  };
  const weights = await read(WEIGHTS);
  const file = path.join(directory, WEIGHTS);
  let tensors: ReadonlyMap<string, StoredTensor>;
  try {
    tensors = parseSafetensors(weights, file);
  } catch (cause) {
    throw new ModelError('ERR_MODEL_LOAD', { file, message: (cause as Error).message, cause });
  }
  return { directory, header, tensors, file: read };
}

async function readHeader(directory: string): Promise<ClassifierHeader> {
  const file = path.join(directory, HEADER);
  const info = await stat(file).catch((cause: unknown) => {
    throw new ModelError('ERR_MODEL_NOT_FOUND', {
      file,
      expected: 'a saved classifier',
      got: 'nothing there',
      cause,
    });
  });
  const spec = (details: { field?: string; expected: string; got?: string; cause?: unknown }) =>
    new ModelError('ERR_MODEL_SPEC', { file, ...details });
  if (!info.isFile() || info.size > MAX_HEADER_BYTES) {
    const got = info.isFile() ? `${info.size} bytes` : 'something else';
    throw spec({ expected: `a file of at most ${MAX_HEADER_BYTES} bytes`, got });
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file)));
  } catch (cause) {
    throw spec({ expected: 'JSON', got: 'something else', cause });
  }
  const parsed = headerSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw spec({ field: issue?.path.join('.') ?? '', expected: issue?.message ?? 'a saved classifier' });
  }
  const names = Object.keys(parsed.data.files);
  const outside = names.find((name) => !isPathInside(name) || name.includes('/'));
  if (names.length > MAX_FILES || outside !== undefined) {
    throw spec({
      field: 'files',
      expected: `at most ${MAX_FILES} files of the directory itself`,
      got: outside === undefined ? `${names.length}` : JSON.stringify(outside),
    });
  }
  return parsed.data;
}

/**
 * A tensor of a stored classifier by name.
 *
 * @throws ModelError ERR_MODEL_LOAD  not there, of another dtype or shape
 */
export function tensorOf(
  { tensors, directory }: Pick<StoredClassifier, 'tensors' | 'directory'>,
  name: string,
  dtype: StoredTensor['dtype'],
  shape: readonly number[],
): StoredTensor {
  const tensor = tensors.get(name);
  const same = tensor?.dtype === dtype && tensor.shape.join() === shape.join();
  if (tensor !== undefined && same) return tensor;
  throw new ModelError('ERR_MODEL_LOAD', {
    field: name,
    file: path.join(directory, WEIGHTS),
    expected: `${dtype} of shape [${shape}]`,
    got: tensor === undefined ? 'nothing' : `${tensor.dtype} of shape [${tensor.shape}]`,
  });
}
