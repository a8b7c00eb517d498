/**
 * Real clips, held against another FFmpeg. The constants come from the programs ffprobe and ffmpeg of Debian 12 (5.1),
 * another build and version than node-av's:
 *   ffprobe -count_frames -show_entries stream=nb_read_frames, frame=best_effort_timestamp_time
 *   ffmpeg -vsync passthrough -i CLIP -pix_fmt yuv420p -f framemd5 -       (md5 of each decoded picture)
 *   ffmpeg -i CLIP -map 0:a:0 -f f32le -                                    (samples, averaged over both channels)
 */
import { createHash } from 'node:crypto';
import test from 'ava';
import { MediaDecoder } from '../../lib/media/decoder.js';
import { sharedPath, sharedTest } from '../shared.js';

const folder = 'data/movies/media';
const clip = (name: string) => ({ path: sharedPath(folder, name) });

const decoder = new MediaDecoder();
test.after.always(() => decoder.dispose());

interface Clip {
  count: number;
  keys: number;
  width: number;
  height: number;
  rate: number;
  /** Of seven equal parts, the picture at the middle of each: time in s as ffprobe prints it, md5 of its yuv420p bytes. */
  pictures: [number, string][];
}

const VIDEOS: Record<string, Clip> = {
  'bbb_opening_30s_480p.mp4': {
    count: 720,
    keys: 5,
    width: 854,
    height: 480,
    rate: 24,
    pictures: [
      [2.125, '77ee3b52041f9e2c2f903ba9c5dffc16'],
      [6.416667, '2684e9e60ed62ac94a6fcb514ad3d14c'],
      [10.708333, 'e6c067418cad5ace0e5a8255d10a90e6'],
      [15, '7f6a82fc98ef6cf6ac1b4972ad276279'],
      [19.25, '2b07c76d36aa74f2f4e82ff8bb4dd783'],
      [23.541667, 'bcdf89ef7c216712d38ffb58faee89be'],
      [27.833333, '46cae6c8b2efd61ae8682e9590c1acd5'],
    ],
  },
  'bbb_trailer.webm': {
    count: 813,
    keys: 7,
    width: 640,
    height: 360,
    rate: 25,
    pictures: [
      [2.32, 'bb371f396d3b9415459fdac515d6d18b'],
      [6.96, '991949f6cfc923d47f827e9f539a68d4'],
      [11.6, '0d7243eaf4976e1d395a066476f4f838'],
      [16.24, '15281a37c3b1c551fac9ddb7335b25de'],
      [20.88, '1b6858839ce1b73c5cc7455275c65b1c'],
      [25.52, '2f0c74ec38c40b538f4213f60f1dc6ea'],
      [30.16, 'b7b218425c442faf14381426dd2f0d13'],
    ],
  },
  'tears_of_steel_battle.webm': {
    count: 1691,
    keys: 23,
    width: 800,
    height: 332,
    rate: 24,
    pictures: [
      [5, 'a872fbbb2c3f695e2af4719fc42a5d7c'],
      [15.083, 'e05a411e39187d829618bce2c447bf60'],
      [25.125, '59e49f73455c0cce362669ea798d2183'],
      [35.208, '0fd4b6a57243389263f3311fe77882cd'],
      [45.292, '476bc1622b90774dceae79ac0ced46c6'],
      [55.333, 'e15201366726ff8b8557fe660b5e9d64'],
      [65.417, '3dd7cde5a32355178d71e9c8134ce08e'],
    ],
  },
  'toy_crystal.mp4': {
    count: 359,
    keys: 3,
    width: 720,
    height: 480,
    rate: 30,
    pictures: [
      [0.833333, 'bc6bdef97d62ef3612164d3c3afcfba4'],
      [2.533333, '1908ceca5c05ceb72fa795e397538368'],
      [4.266667, '161393df30948451bc0d892edffc5d39'],
      [5.966667, '8d0c7ae8448c6fc84c5faa1f4581ee37'],
      [7.666667, 'd60bfb742506ae11d6074e2705fb534e'],
      [9.4, '0b16e46c1b470f584f4c7359ad66adce'],
      [11.1, '8c31ee4e29c701666f228d0c3b8edcea'],
    ],
  },
  'toy_elf.mp4': {
    count: 241,
    keys: 2,
    width: 720,
    height: 480,
    rate: 30,
    pictures: [
      [0.566667, 'e8e5d0cefd1e080f0c6794167bf4ef13'],
      [1.7, 'cb022b93fd4ad1d681ea3a165999d268'],
      [2.866667, '204696d22aedf761a29527e163a96ca2'],
      [4, '24b886c0bb2d146a57219d5c3de9afed'],
      [5.133333, '09adc131cba121ae10e1f61f8fee2e41'],
      [6.3, 'c6bcb99565c41976891a409a74202826'],
      [7.433333, '19cb4e65d87a8ff70f5180fd57f48413'],
    ],
  },
  'toy_frog.mp4': {
    count: 248,
    keys: 2,
    width: 720,
    height: 480,
    rate: 30,
    pictures: [
      [0.566667, 'c7511ef5c9888ddd9aa2f0301688d0f9'],
      [1.766667, 'de67f5ed85e6e1473f170531ddeea024'],
      [2.933333, '9c0f2c326f6129b34916df4f411ce8fb'],
      [4.133333, '72e0918e9a34cd33e39eff6f9ac3d68a'],
      [5.3, 'b05a583d31c124f8abbcd607f879b833'],
      [6.466667, 'e6910918a2b0cec61de05fa071d35600'],
      [7.666667, 'b2fded614247cb0d45eb8cc7f7036d2a'],
    ],
  },
};

for (const [name, { count, keys, width, height, rate, pictures }] of Object.entries(VIDEOS)) {
  const field = 'trailer';

  sharedTest(
    `${name}: seven pictures found by seeking are those of another FFmpeg`,
    [`${folder}/${name}`],
    async (t) => {
      const { frames } = await decoder.video(clip(name), { field, sampling: { kind: 'uniform', count: 7 } });
      t.is(frames.length, 7);
      for (const [i, { data, timestampMs, ...facts }] of frames.entries()) {
        const [seconds, md5] = pictures[i]!;
        t.true(Math.abs(timestampMs - 1000 * seconds) < 0.001, `${timestampMs}`);
        t.is(createHash('md5').update(data).digest('hex'), md5, `picture at ${seconds} s`);
        t.like(facts, { width, height, format: 'i420', range: 'limited', matrix: 'bt601' });
      }
    },
  );

  sharedTest(`${name}: number of pictures and of key pictures`, [`${folder}/${name}`], async (t) => {
    const small = { field, maxSide: 16 };
    const all = await decoder.video(clip(name), { ...small, sampling: { kind: 'uniform', count: 4096 } });
    t.is(all.frames.length, count);
    t.true(Math.abs(all.frameRate - rate) < 0.02, String(all.frameRate));
    const key = await decoder.video(clip(name), {
      ...small,
      sampling: { kind: 'keyframes', maxCount: 4096 },
    });
    t.is(key.frames.length, keys);
  });
}

// [samples at 44100 Hz, root mean square, [index, value] ...]; AAC lengths are the track durations of ffprobe
const SOUNDS: Record<string, [number, number, [number, number][]]> = {
  'speech_jfk.flac': [
    485100,
    0.1421,
    [
      [5000, 0.009027],
      [100000, 0.005815],
      [200000, -0.00136],
      [300000, 0.173911],
    ],
  ],
  'music_viper.mp3': [
    1807397,
    0.190699,
    [
      [5000, -1.3e-5],
      [100000, 0.042842],
      [200000, -0.117641],
      [300000, -0.030844],
    ],
  ],
  'music_outfoxing.mp3': [
    4295535,
    0.227599,
    [
      [5000, -0.001554],
      [100000, -0.027626],
      [200000, 0.342546],
      [300000, 0.021378],
    ],
  ],
  'bbb_trailer.webm': [
    1455808,
    0.091739,
    [
      [5000, -0.003665],
      [100000, -0.021877],
      [200000, -0.024686],
      [300000, -0.033564],
    ],
  ],
  'tears_of_steel_battle.webm': [
    3110912,
    0.251242,
    [
      [5000, 0.267726],
      [100000, -0.246269],
      [200000, 0.552688],
    ],
  ],
  'toy_elf.mp4': [
    8 * 44100,
    0.002832,
    [
      [5000, 0.0066],
      [100000, 0.002042],
      [200000, -0.007525],
      [300000, -0.000906],
    ],
  ],
};

for (const [name, [count, level, values]] of Object.entries(SOUNDS)) {
  sharedTest(`${name}: number and values of the samples`, [`${folder}/${name}`], async (t) => {
    const { samples } = await decoder.audio(clip(name), { field: 'audio', sampleRate: 44100 });
    t.is(samples.length, count);
    for (const [i, value] of values) t.true(Math.abs(samples[i]! - value) < 2e-6, `${i}: ${samples[i]}`);
    const rms = Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / count);
    t.true(Math.abs(rms - level) < 2e-6, String(rms));
    const low = await decoder.audio(clip(name), { field: 'audio', sampleRate: 16000 });
    t.is(low.samples.length, Math.ceil((count * 16000) / 44100));
  });
}
