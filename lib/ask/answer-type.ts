/** Whether a sentence has the kind of words that a question asks for. */
import type { AnswerType } from './question.js';

const NUMBER_WORDS =
  /\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|twenty|thirty|forty|fifty|sixty|hundred|thousand|million|dozen|half|once|twice)\b|[一二三四五六七八九十百千万两]/iu;

/** Someone, by trade or kin: "the pilot", "a widow", "two rivals". */
const SOMEONE =
  /^(?:\p{L}+(?:er|or|ist|man|men|woman|women|ian|ant|eer)s?|pilots?|captains?|girls?|boys?|child|children|couples?|widows?|kings?|queens?|mother|father|parents?|brothers?|sisters?|sons?|daughters?|wife|husband|friends?|rivals?|thie(?:f|ves)|crew|team|family|people|spy|spies|cops?|nurses?|chefs?|judges?|heroes|hero|heroine|agents?)$/iu;
const AGE = /\b\d{1,3}[- ]years?[- ]old\b|\(\d{1,3}\)|\baged? \d|\b\p{L}+[- ]years?[- ]old\b|岁/iu;

/** Whether the kind of words that the question asks for stands in a sentence, beside those of the question itself. */
export function holds(sentence: string, type: AnswerType, question: string): boolean {
  const own = new Set(question.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []);
  const words = sentence.match(/[\p{L}\p{N}]+/gu) ?? [];
  const others = words.filter((word) => !own.has(word.toLowerCase()));
  if (type === 'age') return AGE.test(sentence);
  if (type === 'number') return others.some((word) => NUMBER_WORDS.test(word));
  if (type === 'any' || /\p{Script=Han}/u.test(sentence)) return true;
  return others.some((word) => SOMEONE.test(word) || (word !== words[0] && /^\p{Lu}\p{Ll}/u.test(word)));
}
