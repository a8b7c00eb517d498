// The trailer: four shots in eight seconds, 320 x 180 at 24 frames a second, drawn frame by frame.
//   0.0 s  the light across the bay, fading in      2.3 s  the lamp turning (cut)
//   4.2 s  a boat in the storm, lightning (cut)     6.2 s  the title, fading out (cut)
import sharp from 'sharp';
import { grain, random, stars, tower, wave } from './drawing.mjs';
import { lettering } from './lettering.mjs';

export const TRAILER = { width: 320, height: 180, fps: 24, seconds: 8 };
/** When lightning strikes, in seconds: the sound follows 0.25 s later. */
export const LIGHTNING = 5.05;

const { width: W, height: H } = TRAILER;

const svg = (body, defs = '') =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="${W}" height="${H}" viewBox="0 0 ${W} ${H}"><defs>
  <filter id="b2" x="-50%" y="-50%" width="200%" height="200%"><feGaussianBlur stdDeviation="2"/></filter>
  <filter id="b5" x="-50%" y="-50%" width="200%" height="200%"><feGaussianBlur stdDeviation="5"/></filter>
  <radialGradient id="flare"><stop offset="0" stop-color="#fffaf0"/><stop offset="0.12" stop-color="#ffefc4" stop-opacity="0.8"/><stop offset="0.4" stop-color="#ffd68a" stop-opacity="0.28"/><stop offset="1" stop-color="#ffc766" stop-opacity="0"/></radialGradient>${defs}</defs>${body}</svg>`;

const gradient = (id, stops, vertical = true) =>
  `<linearGradient id="${id}" x1="0" y1="0" x2="${vertical ? 0 : 1}" y2="${vertical ? 1 : 0}">${stops
    .map(
      ([offset, color, opacity = 1]) =>
        `<stop offset="${offset}" stop-color="${color}" stop-opacity="${opacity}"/>`,
    )
    .join('')}</linearGradient>`;

/** The beam of a lamp that turns: seen from the side it swings out, shortens, flares towards us, and swings back. */
function turningBeam(x, y, turn, reach) {
  const across = Math.cos(turn);
  const towards = Math.max(0, Math.sin(turn)) ** 8;
  const cone = (direction, opacity, spread) =>
    `<path d="M${x} ${y - 0.7}L${x + direction * reach} ${y - spread}V${y + spread}L${x} ${y + 0.7}Z" fill="url(#beam-${direction < 0 ? 'left' : 'right'})" opacity="${opacity}" filter="url(#b2)"/>`;
  return `<g style="mix-blend-mode:screen">${cone(across, 0.25 + 0.5 * Math.abs(across), 18)}${cone(-across, 0.15 + 0.3 * Math.abs(across), 15)}
    <circle cx="${x}" cy="${y}" r="${12 + 90 * towards}" fill="url(#flare)" opacity="${0.7 + 0.3 * towards}"/>
    <path d="M${x - 90 * towards} ${y}H${x + 90 * towards}" stroke="#fff3cf" stroke-width="1.2" opacity="${towards}" filter="url(#b2)"/></g>`;
}

function bay(t) {
  const pan = t * 5;
  const lamp = { x: 216 - pan, y: 61 };
  const layers = [
    { y: 121, height: 1, length: 40, phase: t * 1.3, fill: '#1a434e' },
    { y: 130, height: 2, length: 64, phase: 1 - t * 1.1, fill: '#123642' },
    { y: 143, height: 4, length: 110, phase: 3 + t * 1.2, fill: '#0b2632' },
    { y: 160, height: 7, length: 170, phase: 5 - t * 1.4, fill: '#061722' },
  ].map((layer) => wave({ width: W, bottom: H, step: 4, ...layer }));
  const rocks = `<path d="M${168 - pan} 128l10 -10l14 -3l10 -6l18 -1l12 5l16 2l12 8l14 7v10h-106Z" fill="#040b12"/>`;
  return svg(
    `<rect width="${W}" height="${H}" fill="url(#sky)"/>${stars(80, W, 110, 5, t * 4)}
    <g opacity="0.45" filter="url(#b5)"><ellipse cx="${70 + t * 6}" cy="104" rx="120" ry="5" fill="#4f8b8c"/><ellipse cx="${250 - t * 4}" cy="112" rx="110" ry="5" fill="#6a9a92"/></g>
    ${layers[0]}${rocks}<g transform="translate(${lamp.x} 112) scale(0.59)">${tower()}</g>${turningBeam(lamp.x, lamp.y, 0.5 + t * 2.1, 260)}${layers.slice(1).join('')}`,
    gradient('sky', [
      [0, '#040913'],
      [0.35, '#0b2136'],
      [0.6, '#184955'],
      [0.67, '#6b978b'],
      [0.68, '#b59c70'],
    ]) +
      ['left', 'right']
        .map((side) => {
          const stops = [
            [0, '#fff0c8'],
            [1, '#ffe2a0', 0],
          ];
          return gradient(
            `beam-${side}`,
            side === 'right' ? stops : stops.map(([at, ...rest]) => [1 - at, ...rest]).reverse(),
            false,
          );
        })
        .join(''),
  );
}

/** The lens close by: rings of glass around a flame, turning past the camera. */
function lamp(t) {
  const turn = t * 2.6 - 2.2;
  const facing = Math.max(0, Math.cos(turn)) ** 6;
  const x = W / 2 + Math.sin(turn) * 120;
  const rings = [];
  for (let i = 0; i < 12; i++) {
    const r = 8 + i * 7.5;
    rings.push(
      `<ellipse cx="${x.toFixed(1)}" cy="90" rx="${(r * (0.25 + 0.75 * Math.abs(Math.cos(turn)))).toFixed(1)}" ry="${r}" fill="none" stroke="#ffe9b8" stroke-width="${(1.6 - i * 0.08).toFixed(2)}" opacity="${(0.2 + 0.6 * facing * (1 - i / 14)).toFixed(2)}"/>`,
    );
  }
  const panes = [20, 98, 222, 300]
    .map((at) => `<path d="M${at} 0V${H}" stroke="#05090d" stroke-width="7"/>`)
    .join('');
  return svg(
    `<rect width="${W}" height="${H}" fill="#0b1118"/><rect width="${W}" height="${H}" fill="url(#glow)"/>
    <g filter="url(#b2)" opacity="0.6">${rings.join('')}</g>${rings.join('')}
    <circle cx="${W / 2}" cy="90" r="${9 + 2 * Math.sin(t * 31)}" fill="#fff7df" filter="url(#b2)"/>
    <circle cx="${x.toFixed(1)}" cy="90" r="${(40 + 230 * facing).toFixed(1)}" fill="url(#flare)" opacity="${facing.toFixed(2)}" style="mix-blend-mode:screen"/>
    <g opacity="0.9">${panes}<path d="M0 20H${W}M0 162H${W}" stroke="#05090d" stroke-width="9"/></g>`,
    `<radialGradient id="glow"><stop offset="0" stop-color="#f6b44c" stop-opacity="${0.55 + 0.4 * facing}"/><stop offset="0.6" stop-color="#8a5a24" stop-opacity="${0.35 + 0.3 * facing}"/><stop offset="1" stop-color="#0b1118" stop-opacity="0"/></radialGradient>`,
  );
}

function storm(t) {
  const since = t - (LIGHTNING - 4.2);
  const flash = since < 0 ? 0 : Math.exp(-since * 7) * (0.65 + 0.35 * Math.cos(since * 55));
  const x = 118 + t * 22;
  const ride = Math.sin(t * 3.1);
  const next = random(40 + Math.floor(t * 24));
  const rain = Array.from({ length: 90 }, () => {
    const px = next() * 380 - 20;
    const py = next() * 190 - 10;
    const length = 8 + next() * 12;
    return `M${px.toFixed(1)} ${py.toFixed(1)}l${(-length * 0.35).toFixed(1)} ${length.toFixed(1)}`;
  }).join('');
  const bolt =
    flash > 0.05
      ? `<path d="M236 0L229 24L239 27L224 58L233 61L216 96" fill="none" stroke="#e9f4ff" stroke-width="1.6" opacity="${Math.min(1, flash * 1.5).toFixed(2)}"/><path d="M236 0L229 24L239 27L224 58L233 61L216 96" fill="none" stroke="#b9dcff" stroke-width="6" opacity="${(flash * 0.6).toFixed(2)}" filter="url(#b2)"/>`
      : '';
  const mix = (dark, light) => dark.map((value, i) => Math.round(value + (light[i] - value) * flash));
  const color = (dark, light) => `rgb(${mix(dark, light).join(',')})`;
  const boat = `<g transform="translate(${x.toFixed(1)} ${(112 + ride * 11).toFixed(1)}) rotate(${(Math.cos(t * 3.1) * 15).toFixed(1)}) scale(0.92)">
    <path d="M-46 -6C-30 4 30 4 50 -11C46 6 34 13 22 14H-24C-36 12 -43 4 -46 -6Z" fill="#02060a"/>
    <path d="M-4 4C-9 -10 -8 -24 -3 -31C-6 -36 -4 -43 2 -43C8 -43 9 -36 6 -31C12 -25 13 -8 10 4Z" fill="#02060a"/>
    <path d="M-34 -22L42 18" stroke="#02060a" stroke-width="2.4"/><circle cx="40" cy="-16" r="2.4" fill="#ffd27a"/><circle cx="40" cy="-16" r="9" fill="#ffb84d" opacity="0.5" filter="url(#b2)"/></g>`;
  return svg(
    `<rect width="${W}" height="${H}" fill="${color([10, 20, 28], [150, 176, 192])}"/>
    <g filter="url(#b5)" opacity="0.85"><ellipse cx="${60 - t * 9}" cy="18" rx="140" ry="26" fill="${color([6, 12, 18], [98, 122, 140])}"/><ellipse cx="${260 - t * 14}" cy="30" rx="150" ry="22" fill="${color([14, 26, 34], [128, 150, 166])}"/></g>${bolt}
    ${wave({ width: W, bottom: H, step: 4, y: 112, height: 16, length: 150, phase: 1 - t * 2.4, fill: color([20, 48, 56], [110, 140, 150]), sharpness: 2.4 })}
    ${boat}
    ${wave({ width: W, bottom: H, step: 4, y: 132, height: 19, length: 190, phase: 3.4 - t * 3.1, fill: color([10, 30, 38], [66, 92, 104]), sharpness: 2.4 })}
    ${wave({ width: W, bottom: H, step: 4, y: 162, height: 17, length: 250, phase: 0.4 - t * 3.7, fill: color([4, 14, 20], [30, 46, 56]), sharpness: 2.4 })}
    <path d="${rain}" stroke="#a9c6cf" stroke-width="0.6" opacity="0.4"/>`,
  );
}

function title(t) {
  const sweep = -60 + t * 270;
  const cream = '#f7ead0';
  const words = (fill, opacity) =>
    lettering('THE', { x: W / 2, y: 60, size: 8, weight: 0.1, tracking: 1.1, fill, opacity }) +
    lettering('LIGHTHOUSE', { x: W / 2, y: 98, fit: 236, weight: 0.085, fill, opacity }) +
    lettering('KEEPER', { x: W / 2, y: 122, size: 15, weight: 0.085, tracking: 0.98, fill, opacity }) +
    lettering('12 MARCH 2027', {
      x: W / 2,
      y: 148,
      size: 5,
      weight: 0.12,
      tracking: 0.7,
      fill,
      opacity: opacity * 0.8,
    });
  return svg(
    `<rect width="${W}" height="${H}" fill="#03080e"/><ellipse cx="${sweep}" cy="88" rx="190" ry="120" fill="url(#flare)" opacity="0.42"/>
    ${words('#41525c', 0.75)}<g mask="url(#lit)">${words(cream, 1)}</g>`,
    `${gradient(
      'edge',
      [
        [0, '#fff'],
        [0.75, '#fff'],
        [1, '#000'],
      ],
      false,
    )}<mask id="lit"><rect x="-80" width="${Math.max(1, sweep + 140).toFixed(1)}" height="${H}" fill="url(#edge)"/></mask>`,
  );
}

const SHOTS = [
  { from: 0, draw: bay },
  { from: 2.3, draw: lamp },
  { from: 4.2, draw: storm },
  { from: 6.2, draw: title },
];

/** How bright the picture is at `t`: fades in from black and out to black. */
const exposure = (t) => Math.min(1, t / 0.9, Math.max(0, (TRAILER.seconds - 0.1 - t) / 0.8));

/** @returns {Promise<Buffer>} (height, width, 3) bytes of frame `index` */
export async function drawFrame(index) {
  const t = index / TRAILER.fps;
  const shot = SHOTS.findLast(({ from }) => from <= t);
  const picture = await sharp(Buffer.from(shot.draw(t - shot.from)))
    .removeAlpha()
    .raw()
    .toBuffer();
  const light = Math.max(0, exposure(t));
  if (light < 1) for (let i = 0; i < picture.length; i++) picture[i] *= light;
  return grain(picture, 3, index + 1);
}
