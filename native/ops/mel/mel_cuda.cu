#include <cstring>
#include <vector>

#include "../../cuda/operators.h"
#include "mel_cuda.cuh"

namespace cinefuse::gpu {

// A prepared spectrogram on one device: all tables in one block of memory.
struct MelObject final : Object {
  Array<unsigned char> memory;
  MelTables tables{};
  MelFastPlan fast{};
  MelGeneral general{};
};

namespace {

// Tables side by side, as they go up.
class Packer {
 public:
  template <class T>
  size_t add(const T* from, size_t n) {
    const size_t at = bytes_.size();
    bytes_.resize(at + (n * sizeof(T) + 255) / 256 * 256);
    if (n) memcpy(bytes_.data() + at, from, n * sizeof(T));
    return at;
  }
  const std::vector<unsigned char>& bytes() const { return bytes_; }

 private:
  std::vector<unsigned char> bytes_;
};

[[noreturn]] void refuse_not_finite(const cinefuse_mel_params& p, const std::vector<MelSpan>& spans,
                                    unsigned long long bad) {
  const auto at = static_cast<int64_t>(bad);
  size_t clip = 0;
  while (clip + 1 < spans.size() && spans[clip + 1].samples <= at) ++clip;
  const int64_t index = at - spans[clip].samples;
  const std::string field = p.n_clips == 1 ? "samples" : text("samples[%zu]", clip);
  throw Failure(CINEFUSE_INVALID_INPUT,
                text("Expected finite numbers for %s, received %g at index %lld", field.c_str(),
                     static_cast<double>(p.clips[clip].samples[index]), static_cast<long long>(index)),
                field);
}

}  // namespace

static std::unique_ptr<MelObject> mel_create(Call& call, const cinefuse_mel_description& d) {
  auto object = std::make_unique<MelObject>();
  MelTables& t = object->tables;
  t.n_fft = d.n_fft;
  t.bins = d.n_fft / 2 + 1;
  t.n_mels = d.n_mels;
  t.rows = d.n_mels ? d.n_mels : t.bins;
  t.win_length = d.win_length;
  t.hop_length = d.hop_length;
  t.padding = d.padding;
  t.pad = d.padding ? d.n_fft / 2 : 0;
  t.kaldi_frames = d.kaldi_frames != 0;
  t.frames_first = d.frames_first != 0;
  t.even = d.n_fft % 2 == 0;
  t.preemphasis = d.preemphasis;
  t.power = d.power;
  t.curve = d.curve;
  t.pad_to = d.pad_to;

  std::vector<int4> bands(d.n_mels);
  int at = 0;
  for (int m = 0; m < d.n_mels; ++m) {
    bands[m] = make_int4(d.bank_start[m], d.bank_count[m], at, 0);
    at += d.bank_count[m];
  }
  const size_t shared_bytes = call.device().shared_bytes();
  MelFastPlan& fast = object->fast;
  std::vector<float> twiddles;
  if (mel_fast_plan(d, shared_bytes, &fast)) {
    for (int k = 1; 2 * k < fast.r1; ++k) {
      for (int j = 0; j < fast.r2; ++j) {
        const float* const root = d.roots + 2 * (j * k % d.n_fft);
        twiddles.insert(twiddles.end(), root, root + 2);
      }
    }
  }

  MelGeneral& g = object->general;
  mel_general_plan(d, shared_bytes - sizeof(float) * kMelMostFrames, &g);
  Packer packer;
  const size_t window = packer.add(d.window, d.n_fft), roots = packer.add(d.roots, 2 * d.n_fft),
               long_roots = packer.add(d.long_roots, 2 * d.length),
               chirp = packer.add(d.chirp, d.length ? 2 * g.points : 0),
               filter = packer.add(d.filter, 2 * d.length), band = packer.add(bands.data(), bands.size()),
               weight = packer.add(d.bank_weights, at),
               twiddle = packer.add(twiddles.data(), twiddles.size());
  const std::vector<unsigned char>& bytes = packer.bytes();
  object->memory = Array<unsigned char>(call, bytes.data(), static_cast<int64_t>(bytes.size()));
  const unsigned char* const base = object->memory.get();
  const auto pairs = [&](size_t offset) { return reinterpret_cast<const float2*>(base + offset); };
  t.window = reinterpret_cast<const float*>(base + window);
  t.roots = pairs(roots);
  t.bands = reinterpret_cast<const int4*>(base + band);
  t.bank_weights = reinterpret_cast<const float*>(base + weight);
  fast.fast.twiddles = pairs(twiddle);
  g.roots = d.length ? pairs(long_roots) : t.roots;
  g.chirp = d.length ? pairs(chirp) : nullptr;
  g.filter = d.length ? pairs(filter) : nullptr;
  return object;
}

static void mel_cuda(Call& call, const MelObject& object, const cinefuse_mel_params& p) {
  if (p.n_clips == 0) return;
  const MelTables& t = object.tables;
  const int frames_an_item = object.fast.frames ? object.fast.frames : 1 << object.general.frames_log;

  std::vector<In<float>> samples;
  std::vector<Out<float>> outs;
  std::vector<MelSpan> spans;
  std::vector<MelItem> items;
  for (int64_t i = 0; i < p.n_clips; ++i) {
    const cinefuse_mel_clip& c = p.clips[i];
    samples.push_back(call.in(c.samples, c.n_samples));
    outs.push_back(call.out(c.out, c.n_frames * t.rows));
    const auto floats = [](size_t bytes) { return static_cast<int64_t>(bytes / sizeof(float)); };
    spans.push_back({floats(samples[i].offset() - samples[0].offset()), c.n_samples, c.n_frames,
                     floats(outs[i].offset() - outs[0].offset())});
    for (int64_t part = 0; part < blocks_of(c.n_frames, frames_an_item); ++part) {
      items.push_back({static_cast<int>(i), static_cast<int>(part)});
    }
  }
  const In<MelSpan> spans_there = call.in(spans.data(), p.n_clips);
  const In<MelItem> items_there = call.in(items.data(), static_cast<int64_t>(items.size()));
  unsigned long long bad = 0;
  const Out<unsigned long long> bad_there = call.out(&bad, 1);
  call.send();
  call.compute([&] {
    MelWork work{spans_there.get(), items_there.get(), static_cast<int64_t>(items.size()),
                 samples[0].get(),  outs[0].get(),     nullptr,
                 bad_there.get()};
    CINEFUSE_CUDA(cudaMemsetAsync(work.bad, 0xff, sizeof bad, call.stream()));
    if (t.curve.needs_top) {
      work.tops = call.scratch<unsigned>(p.n_clips);
      CINEFUSE_CUDA(cudaMemsetAsync(work.tops, 0, sizeof(unsigned) * p.n_clips, call.stream()));
    }
    if (object.fast.frames) {
      object.fast.launch(call, t, object.fast, work);
    } else {
      mel_general(call, t, object.general, work);
    }
    call.check_cancelled();
    if (t.curve.needs_top) mel_scale(call, t, frames_an_item, work);
  });
  call.receive();
  if (bad != ~0ull) refuse_not_finite(p, spans, bad);
}

const Operator kMelOperator =
    prepared_operator<MelObject, cinefuse_mel_description, cinefuse_mel_params, mel_create, mel_cuda>();

}  // namespace cinefuse::gpu
