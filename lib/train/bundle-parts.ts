/** What a fit leaves behind as a bundle's contents. */
import { createHash } from 'node:crypto';
import { access, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { EncoderModel } from '../encoders/pool.js';
import { parseEncoderSpecText } from '../encoders/spec.js';
import { InputError, ModelError } from '../errors.js';
import type { Bundle } from '../fusion/bundle.js';
import type { BundleContents } from '../fusion/bundle-save.js';
import { BUNDLE_FORMAT_VERSION, type BundleHead, type BundleModality } from '../fusion/manifest.js';
import { type StoredTensor, toHalves } from '../formats/safetensors.js';
import type { MetadataSpec } from '../metadata/spec.js';
import type { ParsedFuseConfig } from './config.js';
import { isScaler } from './fit-table.js';
import type { FittedTable } from './fit-types.js';
import type { FittedTerms } from './terms-fit.js';

/** @throws ModelError ERR_MODEL_NOT_FOUND, ERR_MODEL_SPEC  naming the file */
export async function readEncoders(files: readonly string[]): Promise<EncoderModel[]> {
  return Promise.all(
    files.map(async (file) => {
      const text = await readFile(file, 'utf8').catch((cause: Error) => {
        throw new ModelError('ERR_MODEL_NOT_FOUND', {
          file,
          expected: 'an encoder spec',
          got: cause.message,
          cause,
        });
      });
      return { spec: parseEncoderSpecText(text, file), directory: path.dirname(path.resolve(file)) };
    }),
  );
}

export interface BundleParts {
  config: ParsedFuseConfig;
  fitted: FittedTable;
  heads: BundleHead[];
  modalities: BundleModality[];
  /** Where encoders, TF-IDF members and the scorer of reviews come from. */
  source: Bundle;
  encoders: readonly EncoderModel[];
  metadata: MetadataSpec | undefined;
  /** TF-IDF members that were fitted; they go before those of the source of the same name. */
  terms: readonly FittedTerms[];
  metrics: Record<string, unknown>;
  training: Record<string, unknown>;
}

/**
 * The contents of the bundle. Of the source come the encoders and members that the modalities use, and the scorer of
 * reviews with those that it uses.
 *
 * @throws InputError ERR_INPUT_VALUE  a modality of an encoder that is not there
 */
export async function bundleContents(parts: BundleParts): Promise<BundleContents> {
  const { config, fitted, heads, modalities, source, encoders, metadata, terms } = parts;
  const sentiment = source.manifest.sentiment ?? {};
  const used = new Set([
    ...modalities.map(({ encoder }) => encoder),
    ...Object.values(sentiment).flatMap(({ features }) => features),
    ...(config.inputs.keep === 'all' ? source.encoders.map(({ spec }) => spec.name) : []),
  ]);
  for (const { spec } of terms) {
    // The scorer of reviews would read vectors of another fit.
    const scorer = Object.entries(sentiment).find(([, { features }]) => features.includes(spec.name));
    if (scorer) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: `inputs.tfidf.${spec.name}`,
        expected: `another name than that of a member by which the source's reviews (${scorer[0]}) are scored`,
        got: `"${spec.name}"`,
      });
    }
    used.delete(spec.name);
  }
  const files: BundleContents['files'] = {};
  const specs: string[] = [];
  for (const [i, specPath] of source.manifest.encoders.entries()) {
    if (!used.delete(source.encoders[i]!.spec.name)) continue;
    specs.push(specPath);
    const folder = path.posix.dirname(specPath);
    for (const name of Object.keys(source.manifest.files)) {
      if (path.posix.dirname(name) === folder) files[name] = path.join(source.directory, name);
    }
  }
  for (const { spec, directory } of encoders) {
    if (!used.delete(spec.name)) continue;
    const folder = `encoders/${spec.name}`;
    files[`${folder}/encoder.json`] = new TextEncoder().encode(`${JSON.stringify(spec, null, 2)}\n`);
    specs.push(`${folder}/encoder.json`);
    const beside = [spec.file, ...('tokenizer' in spec && spec.tokenizer ? [spec.tokenizer.file] : [])];
    for (const file of beside) files[`${folder}/${file}`] = path.join(directory, file);
    const licence = path.join(directory, 'LICENSE');
    if (
      await access(licence).then(
        () => true,
        () => false,
      )
    )
      files[`${folder}/LICENSE`] = licence;
  }
  const tfidf = source.manifest.tfidf.filter(({ name }) => used.delete(name));
  used.delete('metadata');
  const [unknown] = used;
  if (unknown !== undefined) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'inputs.modalities',
      expected: 'encoders of the bundle, of `inputs.encoders`, or "metadata"',
      got: `the encoder ${unknown}`,
    });
  }
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of source.tensors) {
    const member = /^tfidf\.([^.]+)\./.exec(name)?.[1];
    if (name.startsWith('sentiment.') || tfidf.some((one) => one.name === member)) tensors.set(name, tensor);
  }
  for (const { spec, tensors: own } of terms) {
    const count = own.idf.length;
    tensors.set(`tfidf.${spec.name}.idf`, { dtype: 'F32', shape: [count], data: own.idf });
    tensors.set(`tfidf.${spec.name}.projection`, {
      dtype: 'I8',
      shape: [count, spec.dim],
      data: own.projection,
    });
    tensors.set(`tfidf.${spec.name}.scale`, { dtype: 'F32', shape: [spec.dim], data: own.scale });
  }
  for (const [name, { shape, data }] of fitted.weights) {
    const half = config.training.storedAs === 'float16' && !isScaler(name);
    tensors.set(name, half ? { dtype: 'F16', shape, data: toHalves(data) } : { dtype: 'F32', shape, data });
  }
  const facts = modalities.some(({ encoder }) => encoder === 'metadata');
  return {
    manifest: {
      format: 'cinefuse-bundle',
      formatVersion: BUNDLE_FORMAT_VERSION,
      name: config.name,
      version: config.version,
      ...(config.description !== undefined && { description: config.description }),
      licence: config.licence,
      encoders: specs,
      tfidf: [...terms.map(({ spec }) => spec), ...tfidf],
      ...(facts && metadata && { metadata }),
      modalities,
      network: fitted.spec,
      heads,
      ...(Object.keys(sentiment).length > 0 && { sentiment }),
      notUsed: config.inputs.notUsed,
      beforeRelease: config.data.beforeRelease,
      metrics: parts.metrics,
      training: parts.training,
      card: config.card,
    },
    tensors,
    files,
  };
}

/** A hash of which film is in which part, by which results on the same split can be told. */
export function splitSha256(ids: readonly string[], split: Readonly<Record<string, Int32Array>>): string {
  const lines: string[] = [];
  for (const [part, rows] of Object.entries(split)) {
    for (const row of rows) lines.push(`${ids[row]} ${part}`);
  }
  return createHash('sha256').update(lines.sort().join('\n')).digest('hex');
}
