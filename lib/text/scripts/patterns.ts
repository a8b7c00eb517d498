/** What single lines of a screenplay look like. Every pattern is linear in the length of a line, and lines are cut to LINE. */
import type { ScriptSetting } from './types.js';

/** No heading, cue or transition is longer. */
const LINE = 200;

const NUMBER = String.raw`(?:\d{1,4}[A-Z]{0,2}|[A-Z]{1,2}\d{1,4})`;
const SETTING = String.raw`(?:INT|EXT|EST|INT\.?\s?\/\s?EXT|EXT\.?\s?\/\s?INT|I\/E|E\/I)`;
const HEADING = new RegExp(
  `^(?:(${NUMBER})[.)]?\\s+)?(${SETTING})(?:\\.|:|\\s|-)\\s*(\\S.*?)(?:\\s+(?:#([^#]+)#|\\1))?$`,
  'i',
);
const HAN_NUMBER = String.raw`[\d〇零一二两三四五六七八九十百千]{1,6}`;
const HAN_HEADING = new RegExp(
  `^[【\\[]?(?:(?:第\\s*(${HAN_NUMBER})\\s*[场幕](?:戏)?|场景?\\s*(${HAN_NUMBER})|(\\d{1,3}(?:[-—－]\\d{1,3})?))[\\s、.．:：]*)?` +
    `(.*?(?:内景|外景|内外景|(?<![\\p{L}])[内外日夜晨昏](?![\\p{L}]))[^。！？]*?)[】\\]]?$`,
  'u',
);
const HAN_NUMBERED = new RegExp(
  `^[【\\[]?(?:第\\s*(${HAN_NUMBER})\\s*[场幕](?:戏)?|场景?\\s*(${HAN_NUMBER}))(?:[\\s、.．:：]+([^。！？]{0,60}?))?[】\\]]?$`,
  'u',
);
const TIME =
  /\b(?:DAY|NIGHT|MORNING|EVENING|AFTERNOON|NOON|MIDNIGHT|DAWN|DUSK|SUNSET|SUNRISE|TWILIGHT|LATER|CONTINUOUS|SAME|NOW|THEN|MOMENTS?|MAGIC HOUR|GOLDEN HOUR|FLASHBACK|PRESENT|EARLIER|SUNDOWN)\b/i;
const TRANSITION =
  /^(?:FADE|CUT|SMASH CUT|MATCH CUT|JUMP CUT|HARD CUT|QUICK CUT|DISSOLVE|WIPE|IRIS|INTERCUT|BACK)\b[^a-z]*(?:[:.]|OUT|IN|BLACK|WHITE)$|^THE END\.?$|^[（(【]?(?:淡入|淡出|切至|切到|化入|化出|叠化|剧终|完)[)）】]?[：:。]?$/;
const MARK = new RegExp(
  `^(?:(?:${NUMBER}\\s+)?\\(?(?:CONTINUED|MORE|CONT'D|CONT’D)\\)?:?(?:\\s*\\(\\d{1,3}\\))?(?:\\s+${NUMBER})?|\\d{1,4}\\.?|(?:PAGE|Page)\\s\\d{1,4})$`,
);
const HAN_COLON = /^([\p{Script=Han}·A-Za-z\d]{1,12})(?:[（(]([^（）()]{1,30})[)）])?\s*[：:]\s*(?=\S)/u;
const LATIN_COLON = /^(\p{Lu}[\p{L}\p{N} .'’#-]{0,30}?)(?:\s?\(([^()]{1,30})\))?\s*:\s+(?=\S)/u;

export interface Heading {
  setting?: ScriptSetting;
  location?: string;
  time?: string;
  number?: string;
}

function settingOf(words: string): ScriptSetting {
  const upper = words.toUpperCase();
  if (/\/|I\/E|E\/I/.test(upper)) return 'INT/EXT';
  return upper.slice(0, 3) as ScriptSetting;
}

/** Place and time of "HOUSE - KITCHEN - NIGHT"; the last part is a time where it says one. */
function placeAndTime(rest: string): Pick<Heading, 'location' | 'time'> {
  const parts = rest.split(/\s+[-–—]{1,2}\s*|\s*[-–—]{2}\s*|\s*[–—]\s*/u).filter((part) => part !== '');
  const last = parts.at(-1);
  if (last !== undefined && parts.length > 1 && TIME.test(last)) {
    return { location: parts.slice(0, -1).join(' - '), time: last };
  }
  return rest === '' ? {} : { location: rest };
}

/** "12 INT. HOUSE - NIGHT 12" and its like, without the forcing dot; undefined for what is no heading. */
export function parseHeading(line: string): Heading | undefined {
  if (line.length > LINE) return undefined;
  const match = HEADING.exec(line);
  if (match) {
    const [, before, setting, rest, behind] = match;
    const number = behind ?? before;
    return {
      setting: settingOf(setting!),
      ...placeAndTime(rest!.trim()),
      ...(number !== undefined && { number }),
    };
  }
  return hanHeading(line);
}

function hanHeading(line: string): Heading | undefined {
  if (!/\p{Script=Han}/u.test(line) || line.length > 80 || /[“”"]/.test(line)) return undefined;
  const numbered = HAN_NUMBERED.exec(line);
  const match = numbered ? undefined : HAN_HEADING.exec(line);
  if (!numbered && !match) return undefined;
  const number = numbered ? (numbered[1] ?? numbered[2]) : (match![1] ?? match![2] ?? match![3]);
  const rest = (numbered ? (numbered[3] ?? '') : match![4]!).trim();
  // Without a number the line has to begin with what only a heading says.
  if (number === undefined && !/^(?:内景|外景|内外景)/.test(rest)) return undefined;
  const inside = /内/.test(rest);
  const outside = /外/.test(rest);
  const time = /(?:清晨|早晨|上午|中午|下午|傍晚|黄昏|深夜|夜晚|凌晨|[日夜晨昏])(?![\p{L}])/u.exec(rest)?.[0];
  const location = rest
    .split(/[\s、,，/／.．·—-]+/u)
    .filter((part) => part !== '' && part !== time && !/^(?:内外景?|[内外]景?)$/.test(part))
    .join(' ');
  return {
    ...(inside && outside ? { setting: 'INT/EXT' as const } : {}),
    ...(inside !== outside && { setting: inside ? ('INT' as const) : ('EXT' as const) }),
    ...(location !== '' && { location }),
    ...(time !== undefined && { time }),
    ...(number !== undefined && { number }),
  };
}

/** A heading that the writer forced with a dot: anything. */
export function forcedHeading(line: string): Heading {
  const number = /\s#([^#]+)#$/.exec(line)?.[1];
  const rest = number === undefined ? line : line.slice(0, line.lastIndexOf(`#${number}#`)).trim();
  return parseHeading(line) ?? { ...placeAndTime(rest), ...(number !== undefined && { number }) };
}

/** Upper case throughout, with at least one letter that has cases. */
export function isUpper(line: string): boolean {
  return /\p{Lu}/u.test(line) && !/\p{Ll}/u.test(line);
}

export function isTransition(line: string): boolean {
  return line.length <= LINE && (TRANSITION.test(line) || (isUpper(line) && /\bTO:$/.test(line)));
}

export function isMark(line: string): boolean {
  return line.length <= LINE && MARK.test(line);
}

export interface Cue {
  name: string;
  extension?: string;
  dual?: true;
}

/** The name as `ScriptCharacter.name`, with what stands in brackets behind it. */
export function parseCue(line: string): Cue {
  const dual = /\^\s*$/.test(line);
  const plain = line.replace(/\^\s*$/, '').trim();
  const open = plain.search(/[(（]/);
  const extension =
    open > 0
      ? plain
          .slice(open)
          .replace(/[()（）]+/g, ' ')
          .trim()
      : '';
  const name = (open > 0 ? plain.slice(0, open) : plain)
    .replace(/['’]S VOICE$/iu, '')
    .normalize('NFKC')
    .replace(/[*_:]+/g, '')
    .replace(/\s+/g, ' ')
    .trim()
    .toUpperCase();
  const kept = extension.replace(/\s+/g, ' ');
  return { name, ...(kept !== '' && { extension: kept }), ...(dual && { dual: true as const }) };
}

/** Whether a line of its own looks like a name above its dialogue. */
export function isCue(line: string): boolean {
  if (line.length > 80) return false;
  const name = line
    .replace(/\^\s*$/, '')
    .replace(/[(（][^()（）]*[)）]?/g, '')
    .trim();
  if (name === '' || !isUpper(name) || /[!?:;,]$|[.…]{2,}$/.test(name)) return false;
  if (/\.$/.test(name) && !/\b\p{Lu}{1,3}\.$/u.test(name)) return false;
  return name.split(/\s+/).length <= 6;
}

/** "NAME: words" -> the cue and where the words begin. */
export function parseColonCue(line: string, latin: boolean): { cue: Cue; words: number } | undefined {
  const head = line.slice(0, LINE);
  const match = HAN_COLON.exec(head) ?? (latin ? LATIN_COLON.exec(head) : null);
  if (!match || (!latin && !/\p{Script=Han}/u.test(match[1]!))) return undefined;
  const cue = parseCue(match[2] === undefined ? match[1]! : `${match[1]} (${match[2]})`);
  return cue.name === '' ? undefined : { cue, words: match[0].length };
}
