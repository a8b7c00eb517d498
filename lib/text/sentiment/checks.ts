/** Checks of texts and labels that all kinds of classifiers share. */
import { DataError, describeValue, InputError, ShapeError } from '../../errors.js';
import { MAX_TEXT_CHARACTERS } from '../read-text.js';

/** Most texts of one call. */
export const MAX_TEXTS = 1_000_000;
export const MAX_CLASSES = 100;

/** @throws InputError ERR_INPUT_TYPE, ERR_INPUT_VALUE */
export function checkTexts(texts: readonly string[], field = 'texts'): void {
  if (!Array.isArray(texts)) {
    throw new InputError('ERR_INPUT_TYPE', {
      field,
      expected: 'an array of texts',
      got: describeValue(texts),
    });
  }
  if (texts.length > MAX_TEXTS) {
    throw new InputError('ERR_INPUT_VALUE', {
      field,
      expected: `at most ${MAX_TEXTS} texts`,
      got: `${texts.length}`,
    });
  }
  for (let i = 0; i < texts.length; i++) {
    const text: unknown = texts[i];
    if (typeof text !== 'string') {
      throw new InputError('ERR_INPUT_TYPE', {
        field: `${field}[${i}]`,
        expected: 'a text',
        got: describeValue(text),
      });
    }
    if (text.length > MAX_TEXT_CHARACTERS) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: `${field}[${i}]`,
        expected: `at most ${MAX_TEXT_CHARACTERS} characters`,
        got: `${text.length}`,
      });
    }
  }
}

/**
 * Labels as places in the list of classes.
 *
 * @param wanted  the classes in order; default: the labels that occur, in code-unit order
 * @throws InputError ERR_INPUT_TYPE, ERR_INPUT_VALUE  a label that is no name, or none of the classes
 * @throws ShapeError ERR_SHAPE       not one label a text
 * @throws DataError  ERR_DATA_EMPTY  fewer than two classes, or one without texts
 */
export function checkClasses(
  texts: readonly string[],
  labels: readonly string[],
  wanted?: readonly string[],
): { classes: string[]; truth: Int32Array } {
  if (!Array.isArray(labels) || labels.length !== texts.length) {
    const got = Array.isArray(labels) ? `${labels.length}` : describeValue(labels);
    throw new ShapeError('ERR_SHAPE', {
      field: 'labels',
      expected: `${texts.length} labels, one a text`,
      got,
    });
  }
  labels.forEach((label: unknown, i) => {
    if (typeof label === 'string' && label !== '') return;
    throw new InputError('ERR_INPUT_TYPE', {
      field: `labels[${i}]`,
      expected: 'the name of a class',
      got: describeValue(label),
    });
  });
  const classes = [...new Set(wanted ?? [...labels].sort())];
  if (classes.length > MAX_CLASSES) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'classes',
      expected: `at most ${MAX_CLASSES} classes`,
      got: `${classes.length}`,
    });
  }
  const places = new Map(classes.map((name, i) => [name, i]));
  const counts = new Uint32Array(classes.length);
  const truth = Int32Array.from(labels, (label, i) => {
    const place = places.get(label);
    if (place === undefined) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: `labels[${i}]`,
        expected: `one of ${classes.slice(0, 20).join(', ')}`,
        got: describeValue(label),
      });
    }
    counts[place]!++;
    return place;
  });
  if (classes.length < 2) {
    throw new DataError('ERR_DATA_EMPTY', {
      field: 'labels',
      expected: 'texts of two classes or more',
      got: `${classes.length}`,
    });
  }
  const bare = counts.indexOf(0);
  if (bare >= 0) {
    throw new DataError('ERR_DATA_EMPTY', {
      field: 'classes',
      expected: 'texts of every class',
      got: `none of ${describeValue(classes[bare])}`,
    });
  }
  return { classes, truth };
}
