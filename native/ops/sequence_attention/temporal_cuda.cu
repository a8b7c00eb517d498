#include "../../cuda/attend.h"
#include "../../cuda/operators.h"
#include "sequence_attention_device.h"

namespace cinefuse::gpu {

static void temporal_cuda(Call& call, const cinefuse_temporal_params& p) {
  const In<float> q = call.in(p.q, p.batch * p.d), keys = call.in(p.keys, p.batch * p.steps * p.d),
                  values = call.in(p.values, p.batch * p.steps * p.dv);
  const In<int32_t> lengths = call.in(p.lengths, p.batch);
  const Out<float> c = call.out(p.c, p.batch * p.dv), alpha = call.out(p.alpha, p.batch * p.steps);
  if (p.batch == 0) return;
  call.send();
  call.compute([&] {
    AttendRows rows{};
    rows.scale = p.scale;
    rows.batch = p.batch;
    rows.heads = rows.queries = 1;
    rows.steps = p.steps;
    rows.d = p.d;
    rows.dv = p.dv;
    rows.q = {q.get(), p.d, 0, 0};
    rows.keys = {keys.get(), p.steps * p.d, 0, p.d};
    rows.values = {values.get(), p.steps * p.dv, 0, p.dv};
    rows.lengths = lengths.get();
    rows.c = {c.get(), p.dv, 0, 0};
    rows.alpha = alpha.get();
    attend(call, rows);
  });
  call.receive();
}

const Operator kTemporalAttentionOperator = plain_operator<cinefuse_temporal_params, temporal_cuda>();

}  // namespace cinefuse::gpu
