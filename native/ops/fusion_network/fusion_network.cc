#include "fusion_network.h"

#include <algorithm>
#include <cmath>

#include "scaler.h"

namespace cinefuse {

void fusion_network_cpu(const FusionNetwork& network, const FusionNetworkParams& params, const Exec& exec);
void fusion_network_device(const FusionNetwork& network, const FusionNetworkParams& params, const Exec& exec);

namespace {

// Reads the description and the weights in step. lib/fusion checks both by name before; here nothing is
// trusted.
class Reader {
 public:
  Reader(const std::vector<int64_t>& description, const std::vector<NetworkWeight>& weights)
      : description_(description), weights_(weights) {}

  int64_t integer(int64_t least, int64_t most) {
    CINEFUSE_REQUIRE(at_ < description_.size(), Code::kInputValue, "description",
                     "The description of the network ends too early, after %zu numbers", at_);
    const int64_t value = description_[at_++];
    CINEFUSE_REQUIRE(value >= least && value <= most, Code::kInputValue, "description",
                     "Expected %lld..%lld in the description of the network, received %lld",
                     static_cast<long long>(least), static_cast<long long>(most),
                     static_cast<long long>(value));
    return value;
  }
  int64_t width() { return integer(1, 65536); }
  Activation activation() { return static_cast<Activation>(integer(0, kElementwiseActivationCount - 1)); }

  const float* take(int64_t size) {
    CINEFUSE_REQUIRE(next_ < weights_.size(), Code::kShape, "weights",
                     "Expected more weights than the %zu given", weights_.size());
    CINEFUSE_REQUIRE(weights_[next_].size == static_cast<size_t>(size), Code::kShape, "weights",
                     "Expected %lld elements for weight %zu, received %zu", static_cast<long long>(size),
                     next_, weights_[next_].size);
    return weights_[next_++].data;
  }
  std::vector<float> vector(int64_t size) {
    const float* data = take(size);
    return std::vector<float>(data, data + size);
  }

  void end() const {
    CINEFUSE_REQUIRE(at_ == description_.size() && next_ == weights_.size(), Code::kShape, "weights",
                     "Expected %zu weights, received %zu", next_, weights_.size());
  }

 private:
  const std::vector<int64_t>& description_;
  const std::vector<NetworkWeight>& weights_;
  size_t at_ = 0, next_ = 0;
};

class Builder {
 public:
  Builder(const std::vector<int64_t>& description, const std::vector<NetworkWeight>& weights)
      : read_(description, weights), network_(std::make_shared<FusionNetwork>()) {}

  std::shared_ptr<const FusionNetwork> build(const std::vector<std::string>& names) {
    describe(names);
    FusionNetwork& n = *network_;
    for (NetworkModality& m : n.modalities) {
      m.mean = read_.vector(m.dim);
      m.scale = read_.vector(m.dim);
      AdditiveWeights pooling{m.dim, m.attention.k, nullptr, nullptr, nullptr};
      if (m.pooling == Pooling::kAttention) {
        pooling.W = read_.take(pooling.k * pooling.d);
        pooling.b = read_.take(pooling.k);
        pooling.w = read_.take(pooling.k);
      }
      if (n.kind == FusionKind::kKernel) {
        pool(m, pooling);
        landmarks_.push_back({read_.take(m.projection.out * m.dim), read_.take(m.projection.out)});
        continue;
      }
      const float* W = read_.take(m.projection.out * m.dim);
      const float* b = read_.take(m.projection.out);
      ScaledLayer projection, scores;
      m.plain = fold_scaler(m.projection.out, m.mean, m.scale, W, b, projection) &&
                (!pooling.W || fold_scaler(pooling.k, m.mean, m.scale, pooling.W, pooling.b, scores));
      if (m.plain) {
        W = projection.W.data();
        b = projection.b.data();
        if (pooling.W) pooling.W = scores.W.data(), pooling.b = scores.b.data();
        m.mean.assign(m.mean.size(), 0.f);
        m.scale.assign(m.scale.size(), 1.f);
      }
      pool(m, pooling);
      fill(m.projection, m.dim, W, b);
      if (n.kind == FusionKind::kConcat || on_side(0, m)) {
        m.absent = read_.vector(m.projection.out);
      }
    }
    fuse();
    read_.end();
    return network_;
  }

 private:
  void describe(const std::vector<std::string>& names) {
    FusionNetwork& n = *network_;
    n.modalities.resize(static_cast<size_t>(read_.integer(1, kMaxNetworkModalities)));
    CINEFUSE_REQUIRE(names.size() == n.modalities.size(), Code::kShape, "names",
                     "Expected %zu names of modalities, received %zu", n.modalities.size(), names.size());
    for (size_t i = 0; i < names.size(); ++i) {
      NetworkModality& m = n.modalities[i];
      m.name = names[i];
      m.dim = read_.width();
      m.pooling = static_cast<Pooling>(read_.integer(0, 2));
      m.attention.k = read_.width();
      m.projection = layer();
      m.column = n.columns;
      n.columns += m.projection.out;
    }
    n.kind = static_cast<FusionKind>(read_.integer(0, kFusionKindCount - 1));
    for (int64_t& parameter : parameters_) {
      // Of hybrid the bits of the modalities of a side.
      parameter = read_.integer(0, n.kind == FusionKind::kHybrid ? (int64_t{1} << 32) - 1 : 65536);
    }
    for (NetworkModality& m : n.modalities) {
      if (n.kind != FusionKind::kKernel) break;
      m.kernel.shape.kind = static_cast<KernelKind>(read_.integer(0, kKernelKindCount - 1));
      m.kernel.shape.degree = static_cast<int>(read_.integer(1, kMostKernelDegree));
    }
    trunk_.resize(static_cast<size_t>(read_.integer(0, 16)));
    for (NetworkLayer& l : trunk_) {
      l = layer();
      n.widest = std::max(n.widest, l.out);
    }
    heads_.resize(static_cast<size_t>(read_.integer(1, 256)));
    for (int64_t& head : heads_) n.outputs += head = read_.width();
  }

  void fuse() {
    FusionNetwork& n = *network_;
    const int64_t count = static_cast<int64_t>(n.modalities.size());
    const int64_t d = n.modalities[0].projection.out;
    if (n.kind == FusionKind::kWeightedSum || n.kind == FusionKind::kAttention ||
        n.kind == FusionKind::kCrossModal) {
      for (const NetworkModality& m : n.modalities) {
        CINEFUSE_REQUIRE(m.projection.out == d, Code::kShape, m.name.c_str(),
                         "Expected projections of one width, %lld, received %lld for %s",
                         static_cast<long long>(d), static_cast<long long>(m.projection.out), m.name.c_str());
      }
    }
    switch (n.kind) {
      case FusionKind::kConcat:
        n.fused = n.columns;
        break;
      case FusionKind::kWeightedSum:
        n.logits = read_.vector(count);
        n.fused = d;
        break;
      case FusionKind::kLate:
      case FusionKind::kHybrid:
        late();
        if (n.kind == FusionKind::kLate) return;
        n.gate = 1.f / (1.f + std::exp(-read_.take(1)[0]));
        break;
      case FusionKind::kTensor:
        tensor();
        break;
      case FusionKind::kLowRank:
        low_rank();
        break;
      case FusionKind::kAttention:
        attention(d);
        n.fused = d;
        break;
      case FusionKind::kKernel:
        n.fused = d;
        break;
      case FusionKind::kCrossModal:
        cross_modal(d);
        n.fused = d;
        break;
    }
    n.stack = stack(n.fused);
    if (n.kind == FusionKind::kKernel) kernels();
  }

  // The numbers of all kernels come last.
  void kernels() {
    FusionNetwork& n = *network_;
    n.combine = static_cast<KernelCombine>(parameters_[0] != 0);
    const float* numbers = read_.take(1 + 3 * static_cast<int64_t>(n.modalities.size()));
    n.constant = *numbers++;
    for (size_t i = 0; i < n.modalities.size(); ++i, numbers += 3) {
      NetworkModality& m = n.modalities[i];
      CINEFUSE_REQUIRE(m.projection.out == n.fused, Code::kShape, m.name.c_str(),
                       "Expected %lld landmarks for %s, received %lld", static_cast<long long>(n.fused),
                       m.name.c_str(), static_cast<long long>(m.projection.out));
      const KernelShape shape{m.kernel.shape.kind, m.kernel.shape.degree, numbers[0], numbers[1], numbers[2]};
      kernel_shape_check(shape, m.name.c_str());
      m.kernel = kernel_prepare(shape, n.fused, m.dim, landmarks_[i].z, landmarks_[i].present, Exec());
      n.bytes += static_cast<int64_t>(m.kernel.z.bytes());
    }
  }

  // Whether modality m is on the early (0) or the late (1) side of hybrid.
  bool on_side(int side, const NetworkModality& m) const {
    const size_t i = static_cast<size_t>(&m - network_->modalities.data());
    return network_->kind == FusionKind::kHybrid && (parameters_[side] >> i & 1) != 0;
  }

  // The columns of h: those of the early side first, beside each other.
  void late() {
    FusionNetwork& n = *network_;
    const bool all = n.kind == FusionKind::kLate;
    int64_t count = 0;
    n.columns = n.fused = 0;
    for (const bool early : {true, false}) {
      for (NetworkModality& m : n.modalities) {
        CINEFUSE_REQUIRE(all || on_side(0, m) || on_side(1, m), Code::kInputValue, m.name,
                         "Expected %s on a side of the fusion", m.name.c_str());
        if (on_side(0, m) != early) continue;
        m.column = n.columns;
        n.columns += m.projection.out;
        if (early) n.fused += m.projection.out;
      }
    }
    for (const NetworkModality& m : n.modalities) count += all || on_side(1, m);
    const std::vector<float> logits = read_.vector(count);
    count = 0;
    for (NetworkModality& m : n.modalities) {
      const bool here = all || on_side(1, m);
      n.logits.push_back(here ? logits[static_cast<size_t>(count++)] : 0.f);
      if (here) m.late = stack(m.projection.out);
    }
  }

  void attention(int64_t d) {
    ModalityAttentionWeights p{};
    p.form = parameters_[0] == 0 ? AttentionForm::kFeature : AttentionForm::kTanh;
    p.d = d;
    p.k = p.form == AttentionForm::kFeature ? d : std::max<int64_t>(1, parameters_[1]);
    p.W = read_.take(p.k * p.d);
    p.b = read_.take(p.k);
    if (p.form == AttentionForm::kTanh) p.w = read_.take(p.k);
    network_->attention = modality_attention_prepare(p, Exec());
    network_->bytes += static_cast<int64_t>(network_->attention.W.bytes());
  }

  void cross_modal(int64_t d) {
    CINEFUSE_REQUIRE(parameters_[1] >= 1 && parameters_[1] <= kMaxCrossBlocks && parameters_[2] >= 1,
                     Code::kInputValue, "description",
                     "Expected 1..16 blocks with an inner layer, received %lld of %lld",
                     static_cast<long long>(parameters_[1]), static_cast<long long>(parameters_[2]));
    network_->cross.d = d;
    for (int64_t i = 0; i < parameters_[1]; ++i) {
      CrossWeights w{};
      w.width = w.context_width = d;
      w.heads = parameters_[0];
      w.ff = parameters_[2];
      cross_check(w);
      for (const CrossArray& array : cross_arrays(w)) *array.to = read_.take(array.rows * array.cols);
      network_->cross.blocks.push_back(cross_prepare(w, Exec()));
      network_->bytes += static_cast<int64_t>(network_->cross.blocks.back().bytes());
    }
  }

  FusionDims dims(int most) const {
    std::vector<int64_t> sizes;
    for (const NetworkModality& m : network_->modalities) sizes.push_back(m.projection.out);
    return fusion_dims(sizes, most);
  }

  void tensor() {
    TensorFusionParams p{};
    p.dims = dims(kMostTensorModes);
    p.out = network_->fused = parameters_[0];
    p.activation = activation(parameters_[1]);
    p.slope = kNetworkSlope;
    const int64_t size = p.out * p.dims.product();
    p.weight = read_.take(size);
    p.bias = read_.take(p.out);
    tensor_fusion_check(p, static_cast<size_t>(size), p.out);
    network_->tensor = tensor_fusion_prepare(p, Exec());
    network_->bytes += static_cast<int64_t>(network_->tensor.weight.bytes());
  }

  void low_rank() {
    LowRankFusionParams p{};
    p.dims = dims(kMostFusionModes);
    p.rank = parameters_[0];
    p.out = network_->fused = parameters_[1];
    p.activation = activation(parameters_[2]);
    p.slope = kNetworkSlope;
    std::vector<size_t> sizes;
    for (size_t i = 0; i < network_->modalities.size(); ++i) {
      const int64_t size = p.rank * (network_->modalities[i].projection.out + 1) * p.out;
      p.factors[i] = read_.take(size);
      sizes.push_back(static_cast<size_t>(size));
    }
    p.rank_weights = read_.take(p.rank);
    p.bias = read_.take(p.out);
    low_rank_fusion_check(p, sizes, p.rank, p.out);
    network_->low_rank = low_rank_fusion_prepare(p);
    network_->bytes += static_cast<int64_t>(network_->low_rank.bytes());
  }

  static Activation activation(int64_t index) {
    CINEFUSE_REQUIRE(index < kElementwiseActivationCount, Code::kInputValue, "description",
                     "Expected an activation of the fusion, received %lld", static_cast<long long>(index));
    return static_cast<Activation>(index);
  }

  NetworkLayer layer() {
    NetworkLayer l;
    l.out = read_.width();
    l.activation = read_.activation();
    l.norm = read_.integer(0, 1) != 0;
    return l;
  }

  void pool(NetworkModality& m, const AdditiveWeights& weights) {
    if (!weights.W) return;
    m.attention = additive_prepare(weights, Exec());
    network_->bytes += static_cast<int64_t>(m.attention.W.bytes());
  }

  PackedMatrix matrix(int64_t out, int64_t in, const float* data) {
    PackedMatrix packed = PackedMatrix::pack(Exec(), data, out, in);
    network_->bytes += static_cast<int64_t>(packed.bytes());
    return packed;
  }

  void fill(NetworkLayer& l, int64_t in) {
    const float* W = read_.take(l.out * in);
    fill(l, in, W, read_.take(l.out));
  }

  void fill(NetworkLayer& l, int64_t in, const float* W, const float* b) {
    l.in = in;
    l.W = matrix(l.out, in, W);
    l.bias.assign(b, b + l.out);
    if (l.norm) {
      l.gain = read_.vector(l.out);
      l.shift = read_.vector(l.out);
    }
  }

  NetworkStack stack(int64_t in) {
    NetworkStack s;
    for (const NetworkLayer& shape : trunk_) {
      NetworkLayer l;
      l.out = shape.out;
      l.activation = shape.activation;
      l.norm = shape.norm;
      fill(l, in);
      in = l.out;
      s.trunk.push_back(std::move(l));
    }
    s.heads = PackedMatrix(in, network_->outputs);
    network_->bytes += static_cast<int64_t>(s.heads.bytes());
    int64_t column = 0;
    for (const int64_t out : heads_) {
      s.heads.fill(column, out, read_.take(out * in), in, 1);
      const std::vector<float> bias = read_.vector(out);
      s.heads_bias.insert(s.heads_bias.end(), bias.begin(), bias.end());
      column += out;
    }
    return s;
  }

  struct Landmarks {
    const float *z, *present;
  };

  Reader read_;
  std::vector<Landmarks> landmarks_;
  std::shared_ptr<FusionNetwork> network_;
  int64_t parameters_[3] = {};
  std::vector<NetworkLayer> trunk_;
  std::vector<int64_t> heads_;
};

}  // namespace

std::shared_ptr<const FusionNetwork> fusion_network_build(const std::vector<std::string>& names,
                                                          const std::vector<int64_t>& description,
                                                          const std::vector<NetworkWeight>& weights) {
  return Builder(description, weights).build(names);
}

void fusion_network_check(const FusionNetwork& network, const FusionNetworkParams& p) {
  const int64_t count = static_cast<int64_t>(network.modalities.size());
  CINEFUSE_REQUIRE(p.batch >= 1 && p.batch <= (int64_t{1} << 24), Code::kShape, "batch",
                   "Expected a batch of 1..2^24 rows, received %lld", static_cast<long long>(p.batch));
  CINEFUSE_REQUIRE(p.present_size == static_cast<size_t>(p.batch * count), Code::kShape, "present",
                   "Expected %lld elements for present of shape (batch, modalities), received %zu",
                   static_cast<long long>(p.batch * count), p.present_size);
  for (int64_t i = 0; i < count; ++i) {
    const NetworkModality& m = network.modalities[static_cast<size_t>(i)];
    const NetworkInput& input = p.inputs[i];
    const char* const name = m.name.c_str();
    if (input.x) {
      CINEFUSE_REQUIRE(input.steps >= 1 && input.steps <= (1 << 20), Code::kShape, name,
                       "Expected 1..2^20 steps for %s, received %lld", name,
                       static_cast<long long>(input.steps));
      CINEFUSE_REQUIRE(m.pooling != Pooling::kNone || (input.steps == 1 && !input.lengths), Code::kShape,
                       name, "Expected one vector a row for %s, which is no sequence, received %lld steps",
                       name, static_cast<long long>(input.steps));
      const int64_t size = p.batch * input.steps * m.dim;
      CINEFUSE_REQUIRE(input.size == static_cast<size_t>(size), Code::kShape, name,
                       "Expected %lld elements for %s of shape (%lld, %lld, %lld), received %zu",
                       static_cast<long long>(size), name, static_cast<long long>(p.batch),
                       static_cast<long long>(input.steps), static_cast<long long>(m.dim), input.size);
    }
    for (int64_t r = 0; r < p.batch; ++r) {
      if (!p.present[r * count + i]) continue;
      CINEFUSE_REQUIRE(input.x, Code::kInputValue, name,
                       "Row %lld says that %s is present, but no input was given for it",
                       static_cast<long long>(r), name);
      if (!input.lengths) continue;
      CINEFUSE_REQUIRE(input.lengths[r] >= 1 && input.lengths[r] <= input.steps, Code::kInputValue, name,
                       "Expected a length of 1..%lld for %s in row %lld, where it is present, received %d",
                       static_cast<long long>(input.steps), name, static_cast<long long>(r),
                       input.lengths[r]);
    }
  }
  for (int64_t r = 0; r < p.batch; ++r) {
    const uint8_t* row = p.present + r * count;
    CINEFUSE_REQUIRE(std::any_of(row, row + count, [](uint8_t x) { return x != 0; }), Code::kInputEmpty,
                     "present",
                     "Expected at least one present modality in every row, received none in row %lld",
                     static_cast<long long>(r));
  }
}

void fusion_network(const FusionNetwork& network, const FusionNetworkParams& params, const Exec& exec) {
  const auto run = exec.backend == Backend::kCpu ? fusion_network_cpu : fusion_network_device;
  run(network, params, exec);
}

void throw_not_finite(const NetworkModality& m, int64_t row, int64_t at, float value) {
  throw Error(Code::kInputValue, m.name,
              format("Expected finite numbers for %s, received %g in row %lld (step %lld, feature %lld)",
                     m.name.c_str(), static_cast<double>(value), static_cast<long long>(row),
                     static_cast<long long>(at / m.dim), static_cast<long long>(at % m.dim)));
}

}  // namespace cinefuse
