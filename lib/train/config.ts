/**
 * fuse.json: what a training run is told, checked. docs/training.md is its manual, schemas/fuse.schema.json the
 * editors'.
 */
import { z } from 'zod';
import { describeValue, TrainError } from '../errors.js';
import { nearestName } from '../nearest.js';
import { fuseConfigSchema, type ParsedFuseConfig } from './config-schema.js';

export * from './config-schema.js';

/** The name of the auxiliary head that says how far off another one will be. */
export const spreadHeadOf = (head: string): string => `${head}Spread`;

function configError(field: string, expected: string, got: string, file: string | undefined): TrainError {
  return new TrainError('ERR_TRAIN_CONFIG', { field, file, expected, got });
}

/**
 * Checks a configuration and fills in its defaults. Parts are checked against each other, as far as this needs no data.
 *
 * @param file  its path, for errors
 * @throws TrainError ERR_TRAIN_CONFIG  naming the field; for an unknown field the nearest known one
 */
export function parseFuseConfig(value: unknown, file?: string): ParsedFuseConfig {
  const parsed = fuseConfigSchema.safeParse(value);
  if (!parsed.success) throw issueError(parsed.error.issues[0]!, value, file);
  const config = parsed.data;
  const seen = new Set<string>();
  for (const [i, { name, ...target }] of config.targets.entries()) {
    for (const head of target.task === 'regression' && target.spread ? [name, spreadHeadOf(name)] : [name]) {
      if (seen.has(head)) throw configError(`targets.${i}.name`, 'unique names', `a second "${head}"`, file);
      seen.add(head);
    }
  }
  for (const [i, target] of config.targets.entries()) {
    if (target.task === 'regression' && target.min !== undefined && target.max !== undefined) {
      if (target.min >= target.max)
        throw configError(`targets.${i}.max`, `more than min, ${target.min}`, String(target.max), file);
    }
    if (target.task === 'multiclass' && target.classes && Array.isArray(target.loss.classWeights)) {
      const { length } = target.loss.classWeights;
      if (length !== target.classes.length) {
        const expected = `${target.classes.length} weights, one a class`;
        throw configError(`targets.${i}.loss.classWeights`, expected, String(length), file);
      }
    }
  }
  const { optimizer, ensemble } = config.training;
  const members = typeof ensemble === 'number' ? ensemble : ensemble.length;
  if (Array.isArray(ensemble) && new Set(ensemble).size < members) {
    throw configError('training.ensemble', 'seeds that differ', ensemble.join(', '), file);
  }
  if (members > 1) {
    const { fusion, projection, modalities, trunk } = config.network;
    const norm = [projection, ...trunk, ...Object.values(modalities).map((m) => m.projection ?? {})].some(
      (layer) => layer.layerNorm,
    );
    if (fusion.kind !== 'concat' || norm) {
      const expected =
        "1, or a network of the kind 'concat' without layer norm, the only one that merges exactly";
      throw configError(
        'training.ensemble',
        expected,
        `${members} of '${fusion.kind}'${norm ? ' with layer norm' : ''}`,
        file,
      );
    }
  }
  if (optimizer.kind === 'sgd') {
    for (const field of ['beta1', 'beta2', 'epsilon'] as const) {
      if (optimizer[field] !== undefined)
        throw configError(
          `training.optimizer.${field}`,
          "nothing with 'sgd'",
          String(optimizer[field]),
          file,
        );
    }
    if (optimizer.nesterov && !optimizer.momentum) {
      throw configError('training.optimizer.nesterov', 'a momentum with it', 'none', file);
    }
  } else {
    for (const field of ['momentum', 'nesterov'] as const) {
      if (optimizer[field] !== undefined)
        throw configError(
          `training.optimizer.${field}`,
          `nothing with '${optimizer.kind}'`,
          String(optimizer[field]),
          file,
        );
    }
  }
  return config;
}

function issueError(issue: z.core.$ZodIssue, value: unknown, file: string | undefined): TrainError {
  const at = issue.path.reduce<unknown>(
    (inner, key) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, key) : undefined),
    value,
  );
  const field = issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0]!;
    const nearest = nearestName(key, fieldNames(fuseConfigJsonSchema()));
    const expected = nearest === undefined ? 'only known fields' : `a known field (did you mean ${nearest}?)`;
    return configError([field, key].filter(Boolean).join('.'), expected, 'an unknown field', file);
  }
  if (issue.code === 'invalid_key') {
    return configError(field, issue.issues[0]?.message ?? 'another name', 'this name', file);
  }
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    // The alternative that came furthest is the one that was meant.
    const furthest = issue.errors
      .map((issues) => issues[0]!)
      .sort(
        (a, b) =>
          b.path.length - a.path.length ||
          Number(b.code === 'unrecognized_keys') - Number(a.code === 'unrecognized_keys'),
      )[0]!;
    if (furthest.path.length > 0 || furthest.code === 'unrecognized_keys') {
      return issueError({ ...furthest, path: [...issue.path, ...furthest.path] }, value, file);
    }
  }
  const options =
    !issue.message.includes('|') && 'options' in issue && Array.isArray(issue.options)
      ? ` (${issue.options.map(String).join(', ')})`
      : '';
  const expected = issue.message.replace(/^[^:.]*[:.] expected /i, '').replace(/, received .*$/, '');
  return configError(field || 'configuration', `${expected}${options}`, describeValue(at), file);
}

/** Every name of a field in the schema, however deep. */
function fieldNames(schema: unknown, into = new Set<string>()): Set<string> {
  if (typeof schema !== 'object' || schema === null) return into;
  for (const [key, inner] of Object.entries(schema)) {
    if (key === 'properties') for (const property of Object.keys(inner as object)) into.add(property);
    fieldNames(inner, into);
  }
  return into;
}

/** The JSON schema of fuse.json, by which editors complete and check it. */
export function fuseConfigJsonSchema(): Record<string, unknown> {
  const { $schema, ...rest } = z.toJSONSchema(fuseConfigSchema, { io: 'input' });
  return { $schema, title: 'cinefuse: fuse.json', ...rest };
}
