// The poster, 600 x 900: a beam over a dark sea, a boat at its far end.
import sharp from 'sharp';
import { grain, stars, tower, wave } from './drawing.mjs';
import { lettering } from './lettering.mjs';

const WIDTH = 600;
const HEIGHT = 900;
const HORIZON = 590;
const TOWER = { x: 436, foot: 604, scale: 4 };
const LAMP = { x: TOWER.x, y: TOWER.foot - 86.8 * TOWER.scale };
const BOAT = { x: 150, y: 655 };

function sky() {
  return `<rect width="${WIDTH}" height="${HEIGHT}" fill="url(#sky)"/>${stars(190, WIDTH, 470, 7)}
    <ellipse cx="${LAMP.x}" cy="${LAMP.y + 40}" rx="360" ry="300" fill="url(#halo)"/>
    <g filter="url(#soft)" opacity="0.5"><ellipse cx="120" cy="520" rx="330" ry="22" fill="#4f8b8c"/>
    <ellipse cx="480" cy="556" rx="300" ry="26" fill="#6a9a92"/><ellipse cx="250" cy="478" rx="240" ry="10" fill="#3a6f78"/></g>`;
}

/** From the lamp down to the boat, wide at the far end; three cones, the inner brighter. */
function beam(clip = '') {
  const cone = (spread, opacity) => {
    const far = { x: -180, y: LAMP.y + ((BOAT.y - LAMP.y) / (BOAT.x - LAMP.x)) * (-180 - LAMP.x) };
    return `<path d="M${LAMP.x} ${LAMP.y - 4}L${far.x} ${far.y - spread * 1.2}L${far.x} ${far.y + spread * 0.75}L${LAMP.x} ${LAMP.y + 4}Z"
      fill="url(#beam)" opacity="${opacity}"/>`;
  };
  return `<g style="mix-blend-mode:screen"${clip}><g filter="url(#blur)">${cone(300, 0.35)}${cone(190, 0.5)}${cone(90, 0.55)}</g>
    <path d="M${LAMP.x} ${LAMP.y - 3}L780 ${LAMP.y - 150}V${LAMP.y - 40}Z" fill="url(#back)" opacity="0.5" filter="url(#blur)"/></g>`;
}

function sea() {
  const layers = [
    { y: HORIZON + 6, height: 2, length: 90, phase: 0.3, fill: '#1d4a55' },
    { y: HORIZON + 24, height: 4, length: 130, phase: 1.8, fill: '#163c49' },
    { y: HORIZON + 52, height: 7, length: 180, phase: 4.1, fill: '#10303d' },
    { y: HORIZON + 92, height: 11, length: 250, phase: 0.9, fill: '#0b2431' },
    { y: HORIZON + 142, height: 15, length: 340, phase: 2.7, fill: '#071925' },
    { y: HORIZON + 205, height: 18, length: 430, phase: 5.2, fill: '#04101a' },
  ];
  const glints = [];
  for (let i = 0; i < 64; i++) {
    const down = i / 64;
    const y = HORIZON + 10 + down * 150;
    const spread = 26 + down * 70;
    const x = BOAT.x - 18 + Math.sin(i * 12.9898) * spread;
    const length = (6 + down * 26) * (0.5 + 0.5 * Math.abs(Math.sin(i * 78.2)));
    glints.push(
      `<path d="M${(x - length).toFixed(1)} ${y.toFixed(1)}q${length.toFixed(1)} ${(1.5 + down * 2).toFixed(1)} ${(2 * length).toFixed(1)} 0" opacity="${(0.75 * (1 - down)).toFixed(2)}"/>`,
    );
  }
  const drawn = layers.map((layer) => wave({ width: WIDTH, bottom: HEIGHT, ...layer }));
  const light = `<g stroke="#ffe3a1" stroke-width="1.7" stroke-linecap="round" fill="none" style="mix-blend-mode:screen">${glints.join('')}</g>`;
  const onWater = beam(' mask="url(#water)"');
  return [drawn[0], drawn[1], rock(), drawn[2], onWater, light, boat(), ...drawn.slice(3)].join('');
}

function rock() {
  return `<path d="M290 640L318 622L336 626L352 606L374 611L388 596L404 604L420 594L470 596L486 606L506 600L522 618L548 615L574 632L600 628V700H290Z" fill="#050d15"/>
    <path d="M352 606L374 611L366 624L340 636ZM388 596L404 604L398 618L380 630ZM470 596L486 606L474 622L448 612ZM522 618L548 615L540 634L510 640Z" fill="#16303a" opacity="0.8"/>
    <path d="M285 648q20 -9 44 -3t52 -2q34 -8 64 0t60 -2q40 -8 95 2" stroke="#9fc3bf" stroke-width="2.2" fill="none" opacity="0.45"/>
    <g transform="translate(${TOWER.x} ${TOWER.foot + 15}) scale(1.05)"><path d="M52 0v-24l15 -13l15 13v24Z" fill="#0a1722"/><path d="M52 -24l15 -13l15 13l-2 3l-13 -11l-13 11Z" fill="#1d3a44"/><path d="M60 -6v-9h6v9Z" fill="#f3bd5f"/></g>`;
}

function boat() {
  return `<g transform="translate(${BOAT.x} ${BOAT.y}) rotate(-5)">
    <path d="M-46 -6C-30 4 30 4 50 -11C46 6 34 13 22 14H-24C-36 12 -43 4 -46 -6Z" fill="#03080d"/>
    <path d="M-46 -6C-30 4 30 4 50 -11" stroke="#f3c879" stroke-width="1.3" fill="none" opacity="0.85"/>
    <path d="M-4 4C-9 -10 -8 -24 -3 -31C-6 -36 -4 -43 2 -43C8 -43 9 -36 6 -31C12 -25 13 -8 10 4Z" fill="#03080d"/>
    <path d="M6 -31C12 -25 13 -8 10 4M6 -33C9 -36 8 -42 3 -43" stroke="#ffd98c" stroke-width="1.5" fill="none" opacity="0.9"/>
    <path d="M-34 -22L42 18" stroke="#03080d" stroke-width="2.2"/></g>`;
}

const definitions = `<defs>
  <linearGradient id="sky" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#040913"/><stop offset="0.28" stop-color="#0a1c30"/>
    <stop offset="0.5" stop-color="#15414f"/><stop offset="0.645" stop-color="#5d9189"/><stop offset="0.66" stop-color="#c0a878"/></linearGradient>
  <radialGradient id="halo"><stop offset="0" stop-color="#ffd689" stop-opacity="0.55"/><stop offset="0.35" stop-color="#d99a4e" stop-opacity="0.2"/>
    <stop offset="1" stop-color="#d99a4e" stop-opacity="0"/></radialGradient>
  <linearGradient id="beam" gradientUnits="userSpaceOnUse" x1="${LAMP.x}" y1="${LAMP.y}" x2="20" y2="700">
    <stop offset="0" stop-color="#fff6d8" stop-opacity="0.95"/><stop offset="0.45" stop-color="#ffdf96" stop-opacity="0.55"/>
    <stop offset="1" stop-color="#eab765" stop-opacity="0.1"/></linearGradient>
  <linearGradient id="back" gradientUnits="userSpaceOnUse" x1="${LAMP.x}" y1="0" x2="640" y2="0">
    <stop offset="0" stop-color="#fff0c0"/><stop offset="1" stop-color="#ffdf96" stop-opacity="0"/></linearGradient>
  <linearGradient id="foot" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#02080e" stop-opacity="0"/><stop offset="1" stop-color="#02080e" stop-opacity="0.92"/></linearGradient>
  <linearGradient id="water-fade" gradientUnits="userSpaceOnUse" x1="0" y1="${HORIZON}" x2="0" y2="${HORIZON + 130}"><stop offset="0" stop-color="#aaa"/><stop offset="0.5" stop-color="#777"/><stop offset="1" stop-color="#000"/></linearGradient>
  <mask id="water"><rect y="${HORIZON}" width="${WIDTH}" height="140" fill="url(#water-fade)"/></mask>
  <filter id="blur" x="-50%" y="-50%" width="200%" height="200%"><feGaussianBlur stdDeviation="7"/></filter>
  <filter id="soft" x="-50%" y="-200%" width="200%" height="500%"><feGaussianBlur stdDeviation="16"/></filter></defs>`;

function words() {
  const cream = '#f7ead0';
  const line = (text, y, rest) => lettering(text, { x: WIDTH / 2, y, fill: cream, ...rest });
  return [
    line('SOMEONE HAS TO STAY AWAKE', 74, { size: 12.5, weight: 0.1, tracking: 0.85, opacity: 0.9 }),
    line('THE', 722, { size: 13, weight: 0.1, tracking: 1.1, opacity: 0.95 }),
    line('LIGHTHOUSE', 792, { fit: 486, weight: 0.085, tracking: 0.36 }),
    line('KEEPER', 838, { size: 31, weight: 0.085, tracking: 0.98 }),
    line('TOVE ASKERUD  DECLAN MARROW  IMANI QUELL', 866, {
      size: 7.6,
      weight: 0.11,
      tracking: 0.62,
      opacity: 0.75,
    }),
    line('A FILM BY MAREN OYELUND   12 MARCH 2027', 884, {
      size: 7.6,
      weight: 0.11,
      tracking: 0.62,
      opacity: 0.75,
    }),
  ].join('');
}

/** @returns {Promise<Buffer>} JPEG */
export async function drawPoster() {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}">${definitions}${sky()}${beam()}${sea()}
    <g transform="translate(${TOWER.x} ${TOWER.foot}) scale(${TOWER.scale})">${tower()}</g>
    <rect y="650" width="${WIDTH}" height="250" fill="url(#foot)"/>${words()}</svg>`;
  const { data, info } = await sharp(Buffer.from(svg))
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return sharp(grain(data, 9, 3), { raw: { width: info.width, height: info.height, channels: 3 } })
    .jpeg({ quality: 82, mozjpeg: true })
    .toBuffer();
}
