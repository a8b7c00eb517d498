/** Common words without weight of their own, by language. */
import { STOP_WORDS as ENGLISH } from '../tfidf.js';

/**
 * Words that turn or weigh what stands beside them. A list of stop words that has them would make "not good" good: they
 * are never stop words here, whatever list is used.
 */
const NEGATIONS: Readonly<Record<string, ReadonlySet<string>>> = {
  en: new Set(
    `no not nor never none nobody nothing nowhere neither without hardly barely scarcely cannot can't won't don't doesn't
    didn't isn't aren't wasn't weren't haven't hasn't hadn't shouldn't wouldn't couldn't mustn't needn't ain't n't but
    only too very however although though despite yet`.split(/\s+/),
  ),
  zh: new Set(
    '不 没 没有 无 非 未 别 莫 勿 否 不是 不会 不能 不够 并非 毫无 从不 绝不 但 但是 可是 却 然而 太 很 只 只是 不过'.split(
      ' ',
    ),
  ),
};

const CHINESE = new Set(
  `的 地 得 了 着 过 吧 吗 呢 啊 呀 哦 嘛 哇 么 嗯 啦 和 与 及 跟 同 或 并 并且 而 而且 以 以及 因 因为 由 由于 于 在 从 到 向 对 对于 关于
  把 被 将 给 让 为 为了 按 按照 当 自 之 其 其中 此 该 这 这个 这些 这样 这里 那 那个 那些 那样 那里 哪 哪个 什么 怎么 谁 我 我们 你 你们
  您 他 他们 她 她们 它 它们 自己 大家 咱们 是 有 就 都 也 又 还 再 更 个 种 些 一 一个 一些 一种 一样 二 两 几 多少 每 各 某 所 所以 如
  如果 如此 虽 虽然 即 则 若 等 等等 上 下 里 中 内 外 前 后 时 时候 来 去 说 看 做 会 能 可 可以 要 想 应 应该 应当 便 才 已 已经 曾 曾经
  正在 一直 年 月 日 第 得到 这么 那么 就是 还是 也是 都是`.split(/\s+/),
);

/** By language: lists without negations. */
const LISTS: Readonly<Record<string, ReadonlySet<string>>> = {
  en: without(ENGLISH, NEGATIONS.en!),
  zh: without(CHINESE, NEGATIONS.zh!),
};

function without(list: ReadonlySet<string>, kept: ReadonlySet<string>): ReadonlySet<string> {
  return new Set([...list].filter((word) => !kept.has(word)));
}

/**
 * Stop words of a language; negations and words that turn the sense (but, hardly, 不, 没有) are not among them. Empty for
 * a language without a list.
 *
 * @param language  ISO 639-1 code; 'en' and 'zh' have lists
 */
export function stopWords(language: string): ReadonlySet<string> {
  return LISTS[language] ?? new Set();
}

/** Words that turn or weigh the sense of what follows. Empty for a language without a list. */
export function negations(language: string): ReadonlySet<string> {
  return NEGATIONS[language] ?? new Set();
}

/** @param word  as `words` gives it */
export function isStopWord(word: string, language: string): boolean {
  return LISTS[language]?.has(word) ?? false;
}

/** Chinese words that begin so are negations, whole (不好, 没意思) or of what follows. */
const CHINESE_NEGATION = /^[不没無无未别莫勿非]/u;
const ENGLISH_NEGATION =
  /^(?:not|no|nor|never|none|nobody|nothing|nowhere|neither|without|hardly|barely|scarcely|cannot|n't|\w+n't)$/;

/** Whether a word turns what follows into its opposite. @param word  as `words` gives it */
export function isNegation(word: string, language: string): boolean {
  if (language === 'zh') return CHINESE_NEGATION.test(word);
  return language === 'en' && ENGLISH_NEGATION.test(word);
}
