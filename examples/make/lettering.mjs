// Capital letters of one stroke weight, drawn here so that poster and titles look the same on every machine,
// whatever fonts it has. A glyph: its width and its path, in a box 100 high (0 the top, 100 the baseline).
const GLYPHS = {
  A: [84, 'M0 100L42 0L84 100M16 66H68'],
  B: [60, 'M0 0V100H34A26 26 0 0 0 34 48H0M0 0H30A24 24 0 0 1 30 48'],
  C: [88, 'M88 18A50 50 0 1 0 88 82'],
  D: [74, 'M0 0V100H24A50 50 0 0 0 24 0Z'],
  E: [52, 'M52 0H0V100H52M0 50H44'],
  F: [52, 'M52 0H0V100M0 50H44'],
  G: [100, 'M88 18A50 50 0 1 0 100 54H62'],
  H: [72, 'M0 0V100M72 0V100M0 50H72'],
  I: [0, 'M0 0V100'],
  J: [40, 'M40 0V78A20 22 0 0 1 0 80'],
  K: [66, 'M0 0V100M62 0L0 62M20 43L66 100'],
  L: [48, 'M0 0V100H48'],
  M: [92, 'M0 100V0L46 72L92 0V100'],
  N: [76, 'M0 100V0L76 100V0'],
  O: [100, 'M50 0A50 50 0 1 1 50 100A50 50 0 1 1 50 0Z'],
  P: [58, 'M0 100V0H31A27 27 0 0 1 31 54H0'],
  Q: [100, 'M50 0A50 50 0 1 1 50 100A50 50 0 1 1 50 0ZM64 68L98 104'],
  R: [60, 'M0 100V0H31A27 27 0 0 1 31 54H0M28 54L60 100'],
  S: [54, 'M50 15C45 5 37 0 27 0C12 0 3 10 3 24C3 58 52 42 52 75C52 90 42 100 26 100C14 100 5 94 0 84'],
  T: [64, 'M0 0H64M32 0V100'],
  U: [70, 'M0 0V65A35 35 0 0 0 70 65V0'],
  V: [80, 'M0 0L40 100L80 0'],
  W: [120, 'M0 0L30 100L60 14L90 100L120 0'],
  X: [70, 'M0 0L70 100M70 0L0 100'],
  Y: [72, 'M0 0L36 52L72 0M36 52V100'],
  Z: [66, 'M0 0H64L0 100H66'],
  0: [64, 'M32 0C50 0 64 22 64 50C64 78 50 100 32 100C14 100 0 78 0 50C0 22 14 0 32 0Z'],
  1: [22, 'M0 18L22 0V100'],
  2: [56, 'M2 28A26 27 0 0 1 54 28C54 52 0 74 0 100H56'],
  7: [56, 'M0 0H56L18 100'],
  '.': [0, 'M0 97V100'],
  "'": [0, 'M0 0V18'],
};

/**
 * One line of text as SVG, centred on `x`, its baseline at `y`.
 * @param size  height of a capital
 * @param weight  stroke width over size
 * @param tracking  gap between letters over size
 */
export function lettering(
  text,
  { x, y, size, weight = 0.09, tracking = 0.34, fill = '#fff', opacity = 1, fit },
) {
  const advance = (character) => (character === ' ' ? 30 : widthOf(character)) + tracking * 100;
  const widthOf = (character) => {
    const glyph = GLYPHS[character];
    if (!glyph) throw new Error(`lettering has no glyph for ${JSON.stringify(character)}`);
    return glyph[0];
  };
  const width = [...text].reduce((sum, character) => sum + advance(character), 0) - tracking * 100;
  const scale = fit ? fit / width : size / 100;
  let at = 0;
  const paths = [];
  for (const character of text) {
    if (character !== ' ')
      paths.push(`<path transform="translate(${at.toFixed(1)} 0)" d="${GLYPHS[character][1]}"/>`);
    at += advance(character);
  }
  const left = x - (width * scale) / 2;
  const top = y - 100 * scale;
  return `<g transform="translate(${left.toFixed(2)} ${top.toFixed(2)}) scale(${scale.toFixed(4)})" fill="none" stroke="${fill}"
    stroke-width="${weight * 100}" stroke-linecap="round" stroke-linejoin="round" opacity="${opacity}">${paths.join('')}</g>`;
}
