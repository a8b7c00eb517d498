/** Words of threat, struggle and fear: what a tense scene names. English ones by their stems (Porter). */
import { stemOf } from '../words/stems.js';

const ENGLISH = new Set(
  `abduct afraid alarm alone ambush anger angry attack assassin assault attack bang battle beat betray blade bleed blood
  bloody bomb bullet burn bury chase choke clash claw collapse confront corpse crash crawl creep cruel crush cry curse
  cut dagger danger dangerous dark darkness dead deadly death demon desperate destroy detonate devil die drag drown dying
  enemy escape evil execute explode explosion fall fear fierce fight fire flames flee force frantic freeze frightened
  fury ghost grab grave grief growl gun gunfire gunman gunshot hang hate haunt hide hit horror hostage howl hunt hurt
  injured kidnap kill killer knife lightning lock lost lurk lunge mad madness massacre menace missing monster murder
  nightmare pain panic panting pistol poison police prison prisoner prey punch rage raid rage rape rescue revenge revolver
  rifle rip run ruthless scar scare scream shadow shake shatter shock shoot shot shout shove sinister slam slap slash
  slaughter smash snarl snatch sob stab stalk stolen storm strangle strike struggle stumble suffer suicide survive
  suspicious sword tear terrified terror terrorist threat threaten thunder torture trap tremble trigger victim vicious
  violence violent war warn weapon whimper wound yell zombie`
    .split(/\s+/)
    .map((word) => stemOf(word, 'en')),
);

const CHINESE = new Set(
  `危险 死 死亡 杀 杀死 杀人 凶手 谋杀 血 鲜血 流血 枪 手枪 开枪 枪声 炸弹 爆炸 刀 匕首 剑 打 打斗 战斗 战争 敌人 攻击 袭击 追 追赶 追杀 逃 逃跑 逃走 躲 躲藏 害怕 恐惧 恐怖 恐慌
  惊恐 惊慌 尖叫 大喊 喊叫 怒吼 愤怒 怒 恨 仇恨 复仇 报仇 威胁 绑架 人质 囚犯 监狱 警察 警报 火 着火 燃烧 火焰 撞 坠落 摔 倒下 尸体 鬼 怪物 恶魔 黑暗 阴影 噩梦 痛苦 受伤 伤口
  哭 哭泣 挣扎 颤抖 发抖 绝望 疯狂 暴力 折磨 背叛 阴谋 陷阱 失踪 绝境 灾难 毁灭 崩溃 暴风雨 雷电 毒 毒药 自杀 窒息 牺牲`.split(
    /\s+/,
  ),
);

const LISTS: Readonly<Record<string, ReadonlySet<string>>> = { en: ENGLISH, zh: CHINESE };

/** @param word  as `words` gives it */
export function isDanger(word: string, language: string): boolean {
  return LISTS[language]?.has(stemOf(word, language)) ?? false;
}
