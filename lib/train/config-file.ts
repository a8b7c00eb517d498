/** Reading fuse.json: JSON that may have comments and trailing commas, as editors write it. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { TrainError } from '../errors.js';
import { type ParsedFuseConfig, parseFuseConfig } from './config.js';

/** Far more than any configuration: a file picked by mistake is not read. */
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * A JSON text with `//` and `/* … *\/` comments and trailing commas.
 *
 * @param file  its path, for errors
 * @throws TrainError ERR_TRAIN_CONFIG  naming the line where it stops being JSON
 */
export function parseJsonWithComments(text: string, file?: string): unknown {
  // What is left out becomes blanks, so that places in the text stay what they are.
  const plain = blank(text);
  try {
    return JSON.parse(plain);
  } catch (cause) {
    const { message } = cause as Error;
    const position = /position (\d+)/.exec(message)?.[1];
    const at = position === undefined ? plain.trimEnd().length : Number(position);
    const line = plain.slice(0, at).split('\n').length;
    throw new TrainError('ERR_TRAIN_CONFIG', {
      file,
      field: `line ${line}`,
      expected: 'JSON (comments and trailing commas are fine)',
      got: message.replace(/ in JSON at position.*$/s, '').replace(/, \.{3}.*$/s, ''),
      cause,
    });
  }
}

function blank(text: string): string {
  const out = [...text.replace(/^\ufeff/, ' ')];
  const clear = (from: number, to: number) => {
    for (let i = from; i < to; i++) if (out[i] !== '\n' && out[i] !== '\r') out[i] = ' ';
  };
  let comma = -1;
  for (let i = 0; i < out.length; i++) {
    const character = out[i]!;
    if (character === '"') {
      for (i++; i < out.length && out[i] !== '"' && out[i] !== '\n'; i++) if (out[i] === '\\') i++;
      comma = -1;
    } else if (character === '/' && out[i + 1] === '/') {
      let end = i;
      while (end < out.length && out[end] !== '\n') end++;
      clear(i, end);
      i = end;
    } else if (character === '/' && out[i + 1] === '*') {
      let end = i + 2;
      while (end < out.length && !(out[end] === '*' && out[end + 1] === '/')) end++;
      // One that never ends is left for JSON.parse to complain of.
      if (end >= out.length) return out.join('');
      clear(i, end + 2);
      i = end + 1;
    } else if (character === ',') {
      comma = i;
    } else if (character === ']' || character === '}') {
      if (comma >= 0) out[comma] = ' ';
      comma = -1;
    } else if (character.trim() !== '') {
      comma = -1;
    }
  }
  return out.join('');
}

/**
 * Reads and checks a configuration. Paths in it count from its folder.
 *
 * @throws TrainError ERR_TRAIN_CONFIG  no such file, not JSON, or not a configuration; naming the field
 */
export async function readFuseConfig(file: string): Promise<ParsedFuseConfig> {
  let text: string;
  try {
    const bytes = await readFile(file);
    if (bytes.length > MAX_BYTES) throw new Error(`it has ${bytes.length} bytes, ${MAX_BYTES} at most`);
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new TrainError('ERR_TRAIN_CONFIG', {
      file,
      message: `The configuration ${file} could not be read: ${(cause as Error).message}`,
      cause,
    });
  }
  const config = parseFuseConfig(parseJsonWithComments(text, file), file);
  const folder = path.dirname(path.resolve(file));
  const from = (target: string) => path.resolve(folder, target);
  return {
    ...config,
    data: { ...config.data, ...(config.data.path !== undefined && { path: from(config.data.path) }) },
    inputs: {
      ...config.inputs,
      bundle: config.inputs.bundle === 'default' ? 'default' : from(config.inputs.bundle),
      encoders: config.inputs.encoders.map(from),
    },
  };
}
