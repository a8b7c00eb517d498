import type { TextSpan } from '../chunks.js';

export type ScriptElementKind =
  | 'heading'
  | 'action'
  | 'character'
  | 'parenthetical'
  | 'dialogue'
  | 'lyrics'
  | 'transition'
  | 'centered'
  | 'section'
  | 'synopsis'
  | 'note'
  | 'page-break'
  /** What the layout adds: page numbers, (MORE), CONTINUED. */
  | 'mark';

/** A paragraph of a screenplay. `start` and `end` are its place in the source, in UTF-16 units. */
export interface ScriptElement extends TextSpan {
  kind: ScriptElementKind;
  /** Without markup and line breaks. */
  text: string;
  /** Of character, parenthetical, dialogue and lyrics: who speaks, as `ScriptCharacter.name`. */
  speaker?: string;
  /** Of a character: what stands in brackets behind the name, "V.O.". */
  extension?: string;
  /** Of a character: speaks at the same time as the one before. */
  dual?: true;
  /** Of a section: 1 for an act, more for what is inside. */
  level?: number;
}

export type ScriptSetting = 'INT' | 'EXT' | 'INT/EXT' | 'EST';

export interface ScriptScene extends TextSpan {
  /** From 0. */
  index: number;
  /** The heading as it is written; undefined for what stands before the first. */
  heading?: string;
  setting?: ScriptSetting;
  location?: string;
  /** "DAY", "NIGHT", "LATER" as it is written. */
  time?: string;
  /** The scene number that the script gives. */
  number?: string;
  /** Its elements: `elements[first]` up to `elements[last - 1]`, the heading included. */
  first: number;
  last: number;
  /** Who speaks in it, in order of first speech. */
  speakers: string[];
}

/** Somebody who speaks. */
export interface ScriptCharacter {
  /** As in the cues, upper case, without extensions. */
  name: string;
  /** Cues: how often they begin to speak. */
  speeches: number;
  /** Words of dialogue and lyrics. */
  words: number;
  /** Of all spoken words, 0 to 1. */
  share: number;
  /** Indices of the scenes they speak in. */
  scenes: number[];
}

export interface Screenplay {
  /** 'fountain': its rules; 'plain': also cues told by indentation, "NAME: words", page numbers. */
  format: 'fountain' | 'plain';
  /** The title page's fields by their lower-case names. */
  titlePage: Record<string, string>;
  elements: ScriptElement[];
  scenes: ScriptScene[];
  /** Who speaks most comes first. */
  characters: ScriptCharacter[];
  /** Words of dialogue, lyrics and action together. */
  words: number;
  /** Pages at 55 lines in the usual layout, of which a film plays about one a minute: an estimate. */
  pages: number;
}
