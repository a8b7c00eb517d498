/**
 * What a question asks for, read off its wording by rules: a fact of a film, a list or count of films, a comparison, or
 * else something that only a film's texts can say. English, and the facts in Chinese.
 */
import type { FactField } from './records.js';

/** What kind of words must be in the sentence that answers. */
export type AnswerType = 'person' | 'number' | 'age' | 'any';

export interface Comparison {
  field: FactField;
  /** The most or the least of it. */
  most: boolean;
}

export interface Condition {
  field: FactField;
  /** The film's number must be above, below or, for years, in between. */
  above?: number;
  below?: number;
}

export interface Question {
  text: string;
  /** The fact that it asks for. */
  field?: FactField;
  /** "the longest film" */
  comparison?: Comparison;
  /** "which films", "how many films" */
  films?: 'list' | 'count';
  conditions: Condition[];
  /** "Is it …?" */
  yesNo: boolean;
  answerType: AnswerType;
  /** What is left when the words above are taken out: what it is about. */
  rest: string;
}

interface FieldPattern {
  field: FactField;
  pattern: RegExp;
}

const FILM = '(?:it|(?:the|this|that) (?:film|movie|picture))';

/** In this order: the first that fits is what is asked for. */
const FIELDS: FieldPattern[] = [
  {
    field: 'director',
    pattern:
      /\bwho(?: is|'s| was)? (?:the )?direct(?:ed|s|or(?: of)?)\b|\bby whom\b.{0,40}?\bdirected\b|\bdirect(?:ed|s) by\b|\bdirector\b|导演/iu,
  },
  {
    field: 'cast',
    pattern:
      /\bwho (?:stars?|starred|acts|acted|appears?|appeared)(?: in)?\b|\b(?:the )?(?:main |lead(?:ing)? )?(?:cast|actors|actresses|stars)\b(?: of| in)?|\bwho is in (?=it\b|the\b|this\b)|主演|演员|主角/iu,
  },
  {
    field: 'releaseDate',
    pattern:
      /\b(?:when|what (?:year|day|date)|in (?:what|which) year)\b.{0,60}?\b(?:released?|com(?:e|es|ing) out|came out|opens?|premieres?|premiered|in (?:the )?(?:cinemas?|theat(?:er|re)s))\b|\brelease (?:date|year)\b|上映/iu,
  },
  {
    field: 'runtime',
    pattern: new RegExp(
      String.raw`\bhow long (?:is|does|will|was)\b(?= ${FILM}\b| $|\?|$)(?:(?= ${FILM}\b) ${FILM}(?: run| last)?)?|\brun(?:ning)?[- ]?time\b|\bhow many minutes\b(?: is| does| long)*|片长|多长时间|多少分钟`,
      'iu',
    ),
  },
  {
    field: 'budget',
    pattern:
      /\bbudget\b|\bhow (?:much|expensive)\b.{0,40}?\b(?:cost|costs|spent|to (?:make|shoot|produce))\b|\bwhat did\b.{0,40}?\bcost\b|预算|成本/iu,
  },
  {
    field: 'genres',
    pattern: /\bgenres?\b|\bwhat (?:kind|sort|type) of (?:film|movie|picture)\b|类型|题材/iu,
  },
  {
    field: 'language',
    pattern:
      /\b(?:what|which) language\b(?:.{0,30}\b(?:in|spoken|shot|made)\b)?|\boriginal language\b|语言/iu,
  },
  {
    field: 'boxOffice',
    pattern:
      /\bbox[- ]office\b|\bhow much\b.{0,40}?\b(?:earn|gross|make|take in|bring in)\b|\bgross(?:es)?\b|票房/iu,
  },
  {
    field: 'wellReceived',
    pattern: /\b(?:well|badly|poorly) received\b|\bhow (?:is|was|will)\b.{0,40}?\breceived\b|口碑/iu,
  },
  { field: 'rating', pattern: /\brating\b|\bhow (?:is|was|will)\b.{0,40}?\brated\b|\bscore\b|评分|多少分/iu },
  {
    field: 'title',
    pattern:
      /\bwhat(?:'s| is| was)? (?:it|the (?:film|movie|picture)) called\b|\b(?:the )?title\b|片名|叫什么/iu,
  },
];

const COMPARISONS: { pattern: RegExp; comparison: Comparison }[] = [
  { pattern: /\blongest\b|最长/iu, comparison: { field: 'runtime', most: true } },
  { pattern: /\bshortest\b|最短/iu, comparison: { field: 'runtime', most: false } },
  {
    pattern: /\b(?:most expensive|(?:biggest|highest|largest) budget)\b|预算最高|最贵/iu,
    comparison: { field: 'budget', most: true },
  },
  {
    pattern: /\b(?:cheapest|least expensive|(?:smallest|lowest) budget)\b|预算最低|最便宜/iu,
    comparison: { field: 'budget', most: false },
  },
  {
    pattern: /\b(?:newest|latest|most recent|(?:released|out|coming) last)\b|最新/iu,
    comparison: { field: 'releaseDate', most: true },
  },
  {
    pattern: /\b(?:oldest|earliest|(?:released|out|comes?) first)\b|最早/iu,
    comparison: { field: 'releaseDate', most: false },
  },
  {
    pattern: /\b(?:best[- ]rated|highest[- ]rated|(?:highest|best) rating)\b|评分最高/iu,
    comparison: { field: 'rating', most: true },
  },
  {
    pattern: /\b(?:worst[- ]rated|lowest[- ]rated|(?:lowest|worst) rating)\b|评分最低/iu,
    comparison: { field: 'rating', most: false },
  },
  {
    pattern: /\b(?:highest[- ]grossing|(?:biggest|highest) (?:gross|box[- ]office))\b|票房最高/iu,
    comparison: { field: 'boxOffice', most: true },
  },
];

const NUMBER = String.raw`\$?\s?([\d.,]+)\s*(thousand|k|million|m|billion|bn|minutes?|min|hours?|h)?\b`;
const UNITS: Record<string, number> = {
  thousand: 1e3,
  k: 1e3,
  million: 1e6,
  m: 1e6,
  billion: 1e9,
  bn: 1e9,
  hour: 60,
  hours: 60,
  h: 60,
};

function amount(digits: string, unit: string | undefined): number {
  return Number(digits.replaceAll(',', '')) * (UNITS[unit?.toLowerCase() ?? ''] ?? 1);
}

const ABOVE = '(?:(?:longer|more expensive|more|greater|higher) than|over|above|at least)';
const BELOW = '(?:(?:shorter|cheaper|less|lower) than|under|below|at most)';
const year = (text: string) => Date.UTC(Number(text), 0, 1);

const CONDITIONS: { pattern: RegExp; condition: (match: RegExpExecArray) => Condition | undefined }[] = [
  {
    pattern: /\b(?:after|since|later than) (\d{4})\b|(\d{4})年(?:以后|之后)/iu,
    condition: ([, en, zh]) => ({ field: 'releaseDate', above: year(String(Number(en ?? zh) + 1)) - 1 }),
  },
  {
    pattern: /\b(?:before|earlier than) (\d{4})\b|(\d{4})年(?:以前|之前)/iu,
    condition: ([, en, zh]) => ({ field: 'releaseDate', below: year(en ?? zh ?? '') }),
  },
  {
    pattern: /\b(?:in|of|from) (\d{4})\b|(\d{4})年/iu,
    condition: ([, en, zh]) => {
      const at = Number(en ?? zh);
      return { field: 'releaseDate', above: year(String(at)) - 1, below: year(String(at + 1)) };
    },
  },
  {
    pattern: new RegExp(
      String.raw`\b(?:budgets? |cost(?:s|ing)? )?(?:of )?(${ABOVE}|${BELOW})\s+${NUMBER}`,
      'iu',
    ),
    condition: ([, side, digits, unit]) => {
      const value = amount(digits!, unit);
      const minutes = /^(?:min|h)/i.test(unit ?? '') || /longer|shorter/i.test(side!);
      const field: FactField = minutes ? 'runtime' : 'budget';
      if (!Number.isFinite(value)) return undefined;
      const below = new RegExp(`^${BELOW}$`, 'i').test(side!);
      const inclusive = /^at /i.test(side!) ? (below ? 1e-9 : -1e-9) * Math.max(1, value) : 0;
      return { field, [below ? 'below' : 'above']: value + inclusive };
    },
  },
];

const LIST =
  /\b(?:which|what)\s+(?:films|movies|pictures|ones)\b|\b(?:list|name|show)(?: me)?(?: all)?(?: of)?(?: the)? (?:films|movies)\b|哪些(?:电影|影片|片子)?/iu;
const COUNT = /\bhow many\s+(?:films|movies|pictures)\b|\bnumber of (?:films|movies)\b|(?:多少|几)部/iu;
const ONE_FILM = /\b(?:which|what)\s+(?:film|movie|picture|one)\b|哪(?:一)?部/iu;
const YES_NO = /^\s*(?:is|are|was|were|does|do|did|has|have|will|can)\b/iu;

/** Words of questions that say nothing of what is asked about. */
const EMPTY =
  /\b(?:please|tell|me|us|do|does|did|is|are|was|were|be|been|being|will|would|has|have|had|can|could|should|there|the|a|an|of|in|on|at|to|for|by|with|from|about|and|or|that|this|these|those|it|its|it's|who|whom|whose|what|what's|which|when|where|why|how|many|much|long|old|all|any|some|you|know|i|we|he|she|they|his|her|their|film|films|film's|movie|movies|movie's|picture|pictures|one|ones|made|make|makes|say|says|said|happen|happens|happened|get|gets|got|star|stars|starring|starred|released|out|run|runs|last|expected|forecast|predicted|audience|released|cost|costs)\b|[?？。，！!.,;:"“”「」]|(?:这部|那部|电影|影片|片子|的|是|吗|呢|什么|谁|在|有|了|多少|哪|请问|部|年)/giu;

/** Words that say no more than that a list or a comparison of films is wanted. */
const EMPTY_OF_LISTS =
  /\b(?:direct(?:s|ed|or)?|act(?:s|ed|ors?)?|appears?|appeared|cast|com(?:e|es|ing)|came|opens?|premieres?|premiered|cinemas?|theat(?:er|re)s|languages?|genres?)\b|导演|主演|出演|演员|上映/giu;

/** @param text  with "it" for titles, and without the people and genres that were recognised in it */
export function parseQuestion(text: string): Question {
  const conditions: Condition[] = [];
  let rest = ` ${text.replace(/\s+/g, ' ')} `;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    const match = pattern.exec(rest);
    if (!match) return undefined;
    rest = `${rest.slice(0, match.index)} ${rest.slice(match.index + match[0].length)}`;
    return match;
  };
  const comparison = COMPARISONS.find(({ pattern }) => take(pattern))?.comparison;
  const films = take(COUNT) ? 'count' : take(LIST) ? 'list' : undefined;
  const oneFilm = take(ONE_FILM) !== undefined;
  if (films || oneFilm || comparison) {
    for (const { pattern, condition } of CONDITIONS) {
      const match = take(pattern);
      const found = match && condition(match);
      if (found) conditions.push(found);
    }
  }
  let field = FIELDS.find(({ pattern }) => pattern.test(rest));
  // "Which film did X direct?" asks for the film.
  if (oneFilm && field && field.field !== 'title') field = undefined;
  if (field && !films) take(field.pattern);
  const asksFilm = films ?? (oneFilm && !comparison ? 'list' : undefined);
  if (asksFilm || comparison) rest = rest.replace(EMPTY_OF_LISTS, ' ');
  return {
    text,
    ...(field && !films && { field: field.field }),
    ...(comparison && { comparison }),
    ...(asksFilm && { films: asksFilm }),
    conditions,
    yesNo: YES_NO.test(text),
    answerType: answerType(text),
    rest: rest.replace(EMPTY, ' ').replace(/\s+/g, ' ').trim(),
  };
}

function answerType(text: string): AnswerType {
  if (/\bhow old\b|几岁|多大/iu.test(text)) return 'age';
  if (/\bwho(?:m|se)?\b|谁/iu.test(text)) return 'person';
  if (/\bhow (?:many|much|old|long|far|tall|often|big)\b|多少|几/iu.test(text)) return 'number';
  return 'any';
}
