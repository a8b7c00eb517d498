// Writes an MP4 (H.264, AAC) with the libraries of node-av: no ffmpeg program is needed.
import {
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AV_OPT_SEARCH_CHILDREN,
  AV_OPT_TYPE_STRING,
  AV_PIX_FMT_YUV420P,
  AV_SAMPLE_FMT_FLTP,
  AVCOL_PRI_BT709,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_BT709,
  AVCOL_TRC_BT709,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  Codec,
  CodecContext,
  FFmpegError,
  FormatContext,
  Frame,
  Packet,
  Rational,
} from 'node-av';

const must = (code, what) => FFmpegError.throwIfError(code, what);

/** (H, W, 3) bytes -> planar 4:2:0, BT.709, limited range; chroma is the mean of 2 x 2. */
export function toYuv420(rgb, width, height) {
  const yuv = Buffer.alloc((width * height * 3) / 2);
  const u = width * height;
  const v = u + u / 4;
  for (let y = 0; y < height; y += 2) {
    for (let x = 0; x < width; x += 2) {
      let [rs, gs, bs] = [0, 0, 0];
      for (const at of [y * width + x, y * width + x + 1, (y + 1) * width + x, (y + 1) * width + x + 1]) {
        const [r, g, b] = [rgb[at * 3], rgb[at * 3 + 1], rgb[at * 3 + 2]];
        yuv[at] = Math.round(16 + (219 / 255) * (0.2126 * r + 0.7152 * g + 0.0722 * b));
        rs += r / 4;
        gs += g / 4;
        bs += b / 4;
      }
      const luma = 0.2126 * rs + 0.7152 * gs + 0.0722 * bs;
      const at = (y / 2) * (width / 2) + x / 2;
      yuv[u + at] = Math.round(128 + ((224 / 255) * (bs - luma)) / 1.8556);
      yuv[v + at] = Math.round(128 + ((224 / 255) * (rs - luma)) / 1.5748);
    }
  }
  return yuv;
}

/** One by one: a Dictionary given to `open` or `writeHeader` of node-av 6.1.1 is freed twice, which ends the process. */
function setOptions(context, options) {
  for (const [name, value] of Object.entries(options))
    must(context.setOption(name, value, AV_OPT_TYPE_STRING, AV_OPT_SEARCH_CHILDREN), `set ${name}`);
}

function openEncoder(name, settings, options, globalHeader) {
  const codec = Codec.findEncoderByName(name);
  if (!codec) throw new Error(`node-av has no encoder ${name}`);
  const context = new CodecContext();
  context.allocContext3(codec);
  Object.assign(context, settings);
  context.threadCount = 1;
  if (globalHeader) context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER);
  setOptions(context, options);
  must(context.open2Sync(codec), `open ${name}`);
  return context;
}

/**
 * @param video  { width, height, fps, frames: AsyncIterable of RGB buffers }
 * @param audio  { sampleRate, channels: two Float32Array }
 */
export async function writeMp4(file, video, audio) {
  const output = new FormatContext();
  must(output.allocOutputContext2(null, 'mp4', file), 'allocate the output');
  const frameTime = new Rational(1, video.fps);
  const sampleTime = new Rational(1, audio.sampleRate);
  const picture = openEncoder(
    'libx264',
    {
      width: video.width,
      height: video.height,
      pixelFormat: AV_PIX_FMT_YUV420P,
      timeBase: frameTime,
      framerate: new Rational(video.fps, 1),
      gopSize: video.fps * 2,
      colorRange: AVCOL_RANGE_MPEG,
      colorSpace: AVCOL_SPC_BT709,
      colorPrimaries: AVCOL_PRI_BT709,
      colorTrc: AVCOL_TRC_BT709,
    },
    { preset: 'veryslow', crf: '25', profile: 'high' },
    true,
  );
  const sound = openEncoder(
    'aac',
    {
      sampleRate: audio.sampleRate,
      channelLayout: { nbChannels: 2, order: 1, mask: 3n },
      sampleFormat: AV_SAMPLE_FMT_FLTP,
      timeBase: sampleTime,
      bitRate: 96_000n,
    },
    {},
    true,
  );
  const streams = [picture, sound].map((context) => {
    const stream = output.newStream();
    must(stream.codecpar.fromContext(context), 'describe the stream');
    stream.timeBase = context.timeBase;
    return { context, stream };
  });
  must(await output.openOutput(), `open ${file}`);
  // bitexact leaves out the date and the versions, so that the same input gives the same file
  setOptions(output, { movflags: '+faststart', fflags: '+bitexact' });
  must(await output.writeHeader(), 'write the header');

  const packet = new Packet();
  packet.alloc();
  const encode = async ({ context, stream }, frame) => {
    must(await context.sendFrame(frame), 'encode');
    for (;;) {
      const code = await context.receivePacket(packet);
      if (code === AVERROR_EAGAIN || code === AVERROR_EOF) return;
      must(code, 'take a packet');
      packet.streamIndex = stream.index;
      packet.rescaleTs(context.timeBase, stream.timeBase);
      must(await output.interleavedWriteFrame(packet), 'write a packet');
    }
  };

  const [videoStream, audioStream] = streams;
  const soundFrames = framesOfSound(audio, sound.frameSize, sampleTime);
  let heard = soundFrames.next();
  let index = 0;
  for await (const rgb of video.frames) {
    const frame = Frame.fromVideoBuffer(toYuv420(rgb, video.width, video.height), {
      width: video.width,
      height: video.height,
      format: AV_PIX_FMT_YUV420P,
      timeBase: frameTime,
      pts: BigInt(index++),
    });
    frame.duration = 1n;
    await encode(videoStream, frame);
    frame.free();
    while (!heard.done && heard.value.seconds < index / video.fps) {
      await encode(audioStream, heard.value.frame);
      heard.value.frame.free();
      heard = soundFrames.next();
    }
  }
  for (; !heard.done; heard = soundFrames.next()) {
    await encode(audioStream, heard.value.frame);
    heard.value.frame.free();
  }
  await encode(videoStream, null);
  await encode(audioStream, null);
  must(await output.writeTrailer(), 'write the trailer');
  await output.closeOutput();
  output.freeContext();
}

function* framesOfSound({ sampleRate, channels }, size, timeBase) {
  for (let at = 0; at < channels[0].length; at += size) {
    const nbSamples = Math.min(size, channels[0].length - at);
    const planes = channels.map((channel) => Buffer.from(channel.slice(at, at + nbSamples).buffer));
    const frame = Frame.fromAudioBuffer(Buffer.concat(planes), {
      nbSamples,
      format: AV_SAMPLE_FMT_FLTP,
      sampleRate,
      channelLayout: { nbChannels: 2, order: 1, mask: 3n },
      timeBase,
      pts: BigInt(at),
    });
    yield { frame, seconds: at / sampleRate };
  }
}
