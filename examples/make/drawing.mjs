// What the poster and the trailer draw alike: the tower, the sea, stars, grain.

/** Numbers in [0, 1) that are the same every time. Source: mulberry32. */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function stars(count, width, height, seed, twinkle = 0) {
  const next = random(seed);
  const dots = [];
  for (let i = 0; i < count; i++) {
    const x = next() * width;
    const y = next() ** 1.6 * height;
    const size = 0.4 + next() ** 4 * 1.5;
    const phase = next() * 6.28;
    const light = (0.25 + 0.6 * next()) * (1 - y / height) * (0.8 + 0.2 * Math.sin(phase + twinkle));
    dots.push(
      `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${size.toFixed(2)}" fill="#dfeaf2" opacity="${light.toFixed(2)}"/>`,
    );
  }
  return dots.join('');
}

/** The crest of one wave layer from left to right, closed along the bottom. */
export function wave({ width, y, bottom, height, length, phase, fill, sharpness = 1.7, step = 8 }) {
  const points = [];
  for (let x = 0; x <= width + step; x += step) {
    const a = Math.sin((x / length) * 6.283 + phase);
    const b = Math.sin((x / (length * 0.37)) * 6.283 - phase * 1.7 + 1);
    const crest = ((a + 1) / 2) ** sharpness * 2 - 1;
    points.push(`${x.toFixed(1)} ${(y - height * (crest * 0.8 + b * 0.2)).toFixed(1)}`);
  }
  return `<path d="M0 ${bottom}L${points.join('L')}L${width} ${bottom}Z" fill="${fill}"/>`;
}

/**
 * The lighthouse, its foot's middle at (0, 0), 100 high from foot to roof, the lamp at (0, -87).
 * @param lit  0 to 1: light in the lantern room
 */
export function tower({ id = 't', lit = 1, dark = '#0a1420', pale = '#b9c4c4', band = '#7c2f2a' } = {}) {
  const half = (height) => 8.4 - 3.9 * (height / 78) ** 0.8;
  const ring = (from, to, fill) =>
    `<path d="M${-half(from)} ${-from}L${-half(to)} ${-to}H${half(to)}L${half(from)} ${-from}Q0 ${-from + 1.3} ${-half(from)} ${-from}Z" fill="${fill}"/>`;
  const window = (height, x) =>
    `<path d="M${x - 0.75} ${-height}v-2.4a0.75 0.75 0 0 1 1.5 0v2.4Z" fill="#f6c667" opacity="${0.35 + 0.6 * lit}"/>`;
  return `<defs>
    <linearGradient id="${id}-wall" x1="0" x2="1" y1="0" y2="0">
      <stop offset="0" stop-color="${pale}"/><stop offset="0.35" stop-color="${pale}" stop-opacity="0.9"/>
      <stop offset="0.8" stop-color="${dark}"/><stop offset="1" stop-color="${dark}"/></linearGradient>
    <linearGradient id="${id}-band" x1="0" x2="1" y1="0" y2="0">
      <stop offset="0" stop-color="${band}"/><stop offset="0.75" stop-color="#1c0d10"/><stop offset="1" stop-color="#12090c"/></linearGradient>
    <radialGradient id="${id}-lamp"><stop offset="0" stop-color="#fffbe8"/><stop offset="0.4" stop-color="#ffdf8e"/>
      <stop offset="1" stop-color="#f3a93c" stop-opacity="0"/></radialGradient></defs>
    ${ring(0, 78, dark)}${ring(0, 78, `url(#${id}-wall)`)}${ring(17, 33, `url(#${id}-band)`)}${ring(50, 66, `url(#${id}-band)`)}
    ${window(10, -1.6)}${window(40, -0.9)}${window(71, -0.5)}
    <path d="M-6.6 -78.6h13.2l-1 -1.8h-11.2Z" fill="${dark}"/><path d="M-7.2 -78.2h14.4v1.1h-14.4Z" fill="${dark}"/>
    <path d="M-7 -78V-82.2H7V-78M-3.5 -78V-82.2M0 -78V-82.2M3.5 -78V-82.2M-7 -80.2H7" stroke="${dark}" stroke-width="0.38" fill="none"/>
    <path d="M-3.7 -80V-91.5H3.7V-80Z" fill="#ffcf73" opacity="${0.2 + 0.8 * lit}"/>
    <circle cx="0" cy="-86.8" r="7.5" fill="url(#${id}-lamp)" opacity="${lit}"/>
    <path d="M-3.7 -80V-91.5M-1.3 -80V-91.5M1.3 -80V-91.5M3.7 -80V-91.5M-3.7 -83.6H3.7" stroke="${dark}" stroke-width="0.5" fill="none"/>
    <path d="M-4.9 -91.3C-4.6 -95.4 -2 -97.6 0 -97.8C2 -97.6 4.6 -95.4 4.9 -91.3Z" fill="${dark}"/>
    <circle cx="0" cy="-98.3" r="0.9" fill="${dark}"/><path d="M0 -98V-103" stroke="${dark}" stroke-width="0.45"/>`;
}

/** A fine film grain over a raw RGB picture, in place. */
export function grain(pixels, amount, seed) {
  const next = random(seed);
  for (let i = 0; i < pixels.length; i += 3) {
    const noise = (next() + next() + next() - 1.5) * amount;
    for (let c = 0; c < 3; c++) pixels[i + c] = Math.max(0, Math.min(255, pixels[i + c] + noise));
  }
  return pixels;
}
