/** Words that say little of what a text is about, beyond the stop words that say little of anything. */

const ENGLISH = new Set(
  `across actually again ago ahead almost alone along already always amid among amongst another anyone anything anyway
  apart around ask asked asks aside away back bad became become becomes becoming began begin begins behind believe best
  better beyond big bit bring brings brought call called calls came cannot come comes coming course day days decide
  decided decides different difficult discover discovered discovers done due easy either else end ends enough entire
  especially etc ever every everybody everyone everything everywhere fact far feel feels felt find finding finds finally
  first five follow followed following follows forced former found four full gave get gets getting give given gives
  giving go goes going gone good got great happen happened happens hard help helps hey hi however huh inside instead
  involved involves it'd it'll its join joins just keep keeps kept kind knew know known knows large last late later lead
  leads learn learns least leave leaves leaving left less let lets let's like little long longer look looking looks lot
  lots made main make makes making man may maybe mean means meet meeting meets met might mr mrs ms much must name named
  near nearly need needs new next nice nine now oh often okay one ones onto others outside part perhaps place plan plans
  possible put puts quite rather real really recently right run runs said say saying says second see seem seems seen send
  sends sent set sets seven several shall show shows side simply since six small somebody somehow someone something
  sometimes somewhere soon start started starts stay still stop story suddenly sure take taken takes taking tell telling
  tells ten thank thanks thing things think thinks thought three together told took toward towards tries trouble try
  trying turn turned turns two uh um unless upon us use used using usually various wait want wanted wants way ways well
  went whatever whenever wherever whether whole whose within work working works would yeah year years yes yet young`.split(
    /\s+/,
  ),
);

const CHINESE = new Set(
  `这部 那部 部 片子 觉得 感觉 真的 真是 确实 其实 东西 事情 地方 方面 问题 有点 有些 一点 一下 一次 一部 一样 第一 第二 之后 之前 之间 以后 以前 以上 以下 开始 最后 最终
  终于 然后 后来 现在 今天 明天 昨天 突然 起来 出来 下来 过来 过去 回来 知道 认为 成为 变成 发现 进行 通过 需要 希望 喜欢 看到 看看 看过 不错 非常 比较 特别 十分 这种 那种
  任何 所有 一切 别人 有人 没人 之一 其他 另外 只有 只能 只要 就算 不管 无论 不要 不用 不知 不知道 好像 似乎 很多 比如 完全 期待 影片 电影 理解 反正 起码 甚至 居然 竟然 不过 一样 根本 简直 还有 还要 还能 不能 无法 导致 关于 大概 来说 说明 部分 整个 一部分 当然 的确 看完 好看 好的 先生 多么 怎样 为何 如何`.split(
    /\s+/,
  ),
);

const LISTS: Readonly<Record<string, ReadonlySet<string>>> = { en: ENGLISH, zh: CHINESE };

export function isWeak(word: string, language: string): boolean {
  return LISTS[language]?.has(word) ?? false;
}
