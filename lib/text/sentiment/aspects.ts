/** What of a film a sentence speaks about: acting, story, picture and so on, by the words that name them. */
import type { TextSpan } from '../chunks.js';
import { words } from '../words/tokens.js';

/** By aspect: words that name it. English words stand for their plurals in -s too; a Chinese one may be part of a word. */
export type AspectWords = Readonly<Record<string, readonly string[]>>;

const list = (text: string) => text.trim().split(/\s+/);

const ENGLISH: AspectWords = {
  acting: list(
    'acting actor actors actress cast casting performance performances performer role portrayal portrays',
  ),
  characters: list('character protagonist hero heroes heroine villain antagonist'),
  story: list('story storyline plot narrative premise twist ending tale storytelling subplot'),
  writing: list('script screenplay dialogue writing writer written screenwriter lines'),
  direction: list('director direction directing directed directorial filmmaker filmmaking'),
  picture: list(
    `cinematography cinematographer visual visuals visually photography photographed camera image images imagery scenery
    cgi animation animated costume costumes landscape landscapes effects lighting`,
  ),
  music: list('music musical score soundtrack song songs sound composer'),
  humour: list('humor humour funny comedy comedies comedic joke laugh hilarious witty gags unfunny'),
  pace: list(
    'pace paced pacing slow slowly drags dragging tedious overlong editing length fast-paced plodding',
  ),
  emotion: list(
    'moving touching emotion emotional emotionally heart heartfelt tears cry poignant sentimental',
  ),
};

const CHINESE: AspectWords = {
  acting: list('演技 表演 演员 主演 饰演 演得 演的 选角 飙戏'),
  characters: list('人物 角色 主角 女主 男主 反派 配角'),
  story: list('剧情 故事 情节 叙事 结局 结尾 反转 悬念 主线 设定'),
  writing: list('剧本 台词 对白 编剧 逻辑'),
  direction: list('导演 执导 导的 调度'),
  picture: list('画面 特效 摄影 镜头 视觉 美术 场景 场面 构图 画质 服装'),
  music: list('音乐 配乐 歌曲 主题曲 音效 原声 插曲 bgm'),
  humour: list('搞笑 幽默 笑点 喜剧 好笑 爆笑'),
  pace: list('节奏 拖沓 冗长 剪辑 沉闷 紧凑'),
  emotion: list('感动 煽情 泪 情感 感人 催泪'),
};

const LEXICONS: Readonly<Record<string, AspectWords>> = { en: ENGLISH, zh: CHINESE };

/** The words of the built-in aspects in a language (ISO 639-1); undefined for a language without. */
export function aspectWords(language: string): AspectWords | undefined {
  return LEXICONS[language];
}

/** A word that names an aspect, where it stands. */
export interface AspectMention extends TextSpan {
  aspect: string;
}

/** Finds mentions of aspects in texts of one language. */
export class AspectFinder {
  /** Name -> aspects. */
  readonly #aspects = new Map<string, string[]>();
  readonly #pattern: RegExp | undefined;

  constructor(language: string, lexicon: AspectWords) {
    for (const [aspect, names] of Object.entries(lexicon)) {
      for (const name of names) {
        this.#add(name.toLowerCase(), aspect);
        if (language === 'en') this.#add(`${name.toLowerCase()}s`, aspect);
      }
    }
    if (language === 'zh' && this.#aspects.size > 0) {
      // The longest first, so that 主题曲 is not found as 主题.
      const names = [...this.#aspects.keys()].sort((a, b) => b.length - a.length);
      this.#pattern = new RegExp(
        names.map((name) => name.replace(/[^\p{L}\p{N}]/gu, '\\$&')).join('|'),
        'giu',
      );
    }
  }

  #add(name: string, aspect: string): void {
    const known = this.#aspects.get(name) ?? [];
    if (!known.includes(aspect)) this.#aspects.set(name, [...known, aspect]);
  }

  find(text: string): AspectMention[] {
    const mentions: AspectMention[] = [];
    const add = (key: string, start: number, end: number) => {
      for (const aspect of this.#aspects.get(key) ?? []) mentions.push({ aspect, start, end });
    };
    if (this.#pattern) {
      for (const { 0: name, index } of text.matchAll(this.#pattern)) {
        add(name.toLowerCase(), index, index + name.length);
      }
    } else {
      for (const { text: word, start, end } of words(text)) add(word, start, end);
    }
    return mentions;
  }
}

/** Words before which the tone of a sentence often turns. */
const TURNS: Readonly<Record<string, RegExp>> = {
  en: /(?:[,;:—–]|\s-{1,2})\s+(?=(?:but|although|though|however|yet|while|whereas|except)\b)|;\s+|\s+(?=but\b)/giu,
  zh: /[，；、,;]\s*(?=(?:但|可是|不过|然而|却|只是|虽然|尽管|除了))|[；;]\s*/gu,
};
const SHORTEST_CLAUSE = 4;

/**
 * A sentence cut where its tone may turn ("great acting, but a dull plot"), as spans of the text; whole where it does
 * not, or where a part would be too short to say anything.
 */
export function clausesOf(text: string, sentence: TextSpan, language: string): TextSpan[] {
  const turns = TURNS[language];
  if (turns === undefined) return [sentence];
  const part = text.slice(sentence.start, sentence.end);
  const clauses: TextSpan[] = [];
  let start = 0;
  for (const { 0: cut, index } of part.matchAll(turns)) {
    if (index - start < SHORTEST_CLAUSE || part.length - index - cut.length < SHORTEST_CLAUSE) continue;
    clauses.push({ start: sentence.start + start, end: sentence.start + index });
    start = index + cut.length;
  }
  clauses.push({ start: sentence.start + start, end: sentence.end });
  return clauses;
}
