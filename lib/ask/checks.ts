/** What a QuestionAnswerer is given, and what it is asked. */
import { describeValue, InputError } from '../errors.js';

const MOST_CHARACTERS = 1000;
const MOST_FILMS = 20_000;

export function checkMovies(movies: unknown): void {
  if (!Array.isArray(movies)) {
    throw new InputError('ERR_INPUT_TYPE', {
      field: 'movies',
      expected: 'an array of films',
      got: describeValue(movies),
    });
  }
  if (movies.length === 0) {
    throw new InputError('ERR_INPUT_EMPTY', { field: 'movies', expected: 'at least one film', got: 'none' });
  }
  if (movies.length > MOST_FILMS) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'movies',
      expected: `at most ${MOST_FILMS} films`,
      got: `${movies.length}`,
    });
  }
}

export function checkQuestion(question: unknown): asserts question is string {
  if (typeof question !== 'string') {
    throw new InputError('ERR_INPUT_TYPE', {
      field: 'question',
      expected: 'a text',
      got: describeValue(question),
    });
  }
  if (question.trim() === '') {
    throw new InputError('ERR_INPUT_EMPTY', {
      field: 'question',
      expected: 'a question',
      got: 'blanks only',
    });
  }
  if (question.length > MOST_CHARACTERS) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'question',
      expected: `at most ${MOST_CHARACTERS} characters`,
      got: `${question.length}`,
    });
  }
}
