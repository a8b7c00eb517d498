"""Classification, regression and ranking metrics (JSON only)."""
import math

import numpy as np

from .pack import Pack


def rank_metrics(order_rel, k, n_rel):
    """One ranked list of 0/1 relevances, best first."""
    top = order_rel[:k]
    hit = 1.0 if any(top) else 0.0
    rr = next((1.0 / (i + 1) for i, v in enumerate(order_rel) if v), 0.0)
    got, s = 0, 0.0
    for i, v in enumerate(top):
        if v:
            got += 1
            s += got / (i + 1)
    ap = s / min(k, n_rel) if n_rel else 0.0
    return hit, rr, ap


def gen_metrics(ctx):
    from scipy import stats
    from sklearn import metrics as M
    p = Pack(ctx, 'metrics', 'classification, regression and ranking metrics; null = undefined for that input')
    rng = p.rng
    fl = lambda v: None if v is None or not np.isfinite(v) else float(v)

    def classification(name, y, z, labels=None):
        lab = sorted(set(y) | set(z)) if labels is None else labels
        pr, rc, f1, _ = M.precision_recall_fscore_support(y, z, labels=lab, average='macro', zero_division=0)
        mi = M.precision_recall_fscore_support(y, z, labels=lab, average='micro', zero_division=0)
        we = M.precision_recall_fscore_support(y, z, labels=lab, average='weighted', zero_division=0)
        per = M.precision_recall_fscore_support(y, z, labels=lab, average=None, zero_division=0)
        p.case(name, {'kind': 'classification', 'labels': [int(v) for v in lab], 'zero_division': 0, 'y_true': [int(v) for v in y], 'y_pred': [int(v) for v in z]}, {},
               values={'accuracy': fl(np.mean(np.array(y) == np.array(z))), 'macro_precision': fl(pr), 'macro_recall': fl(rc), 'macro_f1': fl(f1),
                       'micro_f1': fl(mi[2]), 'weighted_f1': fl(we[2]), 'precision': [fl(v) for v in per[0]], 'recall': [fl(v) for v in per[1]],
                       'f1': [fl(v) for v in per[2]], 'confusion': M.confusion_matrix(y, z, labels=lab).tolist()})

    n = p.dim(60)
    y = rng.integers(0, 2, n)
    classification('cls_binary', y, np.where(rng.random(n) < 0.75, y, 1 - y))
    y = rng.integers(0, 5, n)
    classification('cls_multi', y, np.where(rng.random(n) < 0.6, y, rng.integers(0, 5, n)))
    y = np.where(rng.random(n) < 0.9, 0, rng.integers(1, 4, n))
    classification('cls_imbalanced', y, np.zeros(n, int), [0, 1, 2, 3])
    classification('cls_never_predicted', [0, 1, 2, 2], [0, 1, 1, 1])
    classification('cls_label_absent_from_truth', [0, 0, 1], [0, 2, 2])
    classification('cls_perfect', [0, 1, 2], [0, 1, 2])
    classification('cls_all_wrong', [0, 1, 0], [1, 0, 1])
    classification('cls_single', [1], [1])

    def auc(name, y, s):
        y, s = np.array(y), np.array(s, np.float64)
        two = len(set(y.tolist())) == 2
        p.case(name, {'kind': 'auc', 'y_true': y.tolist(), 'score': s.tolist()}, {},
               values={'roc_auc': fl(M.roc_auc_score(y, s)) if two else None, 'average_precision': fl(M.average_precision_score(y, s)) if y.sum() else None})
    y = rng.integers(0, 2, n)
    auc('auc_random', y, np.round(rng.standard_normal(n) + y, 6))
    auc('auc_ties', y, np.round(rng.random(n) + 0.4 * y, 1))
    auc('auc_all_tied', [0, 1, 1, 0], [0.5] * 4)
    auc('auc_perfect', [0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4])
    auc('auc_inverted', [1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4])
    auc('auc_one_class', [1, 1, 1], [0.1, 0.2, 0.3])

    def regression(name, y, z):
        y, z = np.array(y, np.float64), np.array(z, np.float64)
        const = len(y) < 2 or np.ptp(y) == 0 or np.ptp(z) == 0
        p.case(name, {'kind': 'regression', 'y_true': y.tolist(), 'y_pred': z.tolist()}, {},
               values={'rmse': fl(np.sqrt(M.mean_squared_error(y, z))), 'mse': fl(M.mean_squared_error(y, z)), 'mae': fl(M.mean_absolute_error(y, z)),
                       'r2': fl(M.r2_score(y, z)) if len(y) > 1 else None, 'spearman': None if const else fl(stats.spearmanr(y, z)[0]),
                       'pearson': None if const else fl(stats.pearsonr(y, z)[0]), 'kendall_tau_b': None if const else fl(stats.kendalltau(y, z)[0])})
    y = np.round(rng.standard_normal(n) * 3, 5)
    regression('reg_random', y, np.round(y + rng.standard_normal(n), 5))
    regression('reg_ties', np.round(y), np.round(y + rng.standard_normal(n)))
    regression('reg_integers_heavy_ties', rng.integers(0, 4, n), rng.integers(0, 4, n))
    regression('reg_perfect', [1, 2, 3, 4], [1, 2, 3, 4])
    regression('reg_inverse', [1, 2, 3, 4], [4, 3, 2, 1])
    regression('reg_constant_truth', [2, 2, 2], [1, 2, 3])
    regression('reg_constant_truth_perfect', [2, 2, 2], [2, 2, 2])
    regression('reg_constant_pred', [1, 2, 3], [2, 2, 2])
    regression('reg_single', [1.5], [2.0])
    regression('reg_large_offset', (1e6 + y), (1e6 + np.round(y + 0.5 * rng.standard_normal(n), 5)))

    def dcg(rel, k):
        return sum(r / math.log2(i + 2) for i, r in enumerate(rel[:k]))

    def ranking(name, rels, scores, ks, note=None):
        """rels and scores: lists of equal-length lists, one a query."""
        vals = {}
        for k in ks:
            nd, nd_exp, nd_avg, hit, rr, ap, prec, rec = [], [], [], [], [], [], [], []
            for r, s in zip(rels, scores):
                r, s = np.array(r, np.float64), np.array(s, np.float64)
                order = np.lexsort((np.arange(len(s)), -s))                 # descending, ties: lower index first
                ro = r[order]
                ideal = np.sort(r)[::-1]
                nd.append(dcg(ro, k) / dcg(ideal, k) if dcg(ideal, k) > 0 else 0.0)
                e, ei = 2 ** ro - 1, 2 ** ideal - 1
                nd_exp.append(dcg(e, k) / dcg(ei, k) if dcg(ei, k) > 0 else 0.0)
                if len(r) > 1:
                    nd_avg.append(float(M.ndcg_score(r[None], s[None], k=k)))
                b = (ro > 0).tolist()
                h_, r_, a_ = rank_metrics(b, k, sum(b))
                hit.append(h_), rr.append(r_), ap.append(a_)
                prec.append(sum(b[:k]) / k)
                rec.append(sum(b[:k]) / sum(b) if sum(b) else 0.0)
            vals[f'@{k}'] = {'ndcg_linear': fl(np.mean(nd)), 'ndcg_exp': fl(np.mean(nd_exp)),
                             'ndcg_linear_ties_averaged': fl(np.mean(nd_avg)) if len(nd_avg) == len(rels) else None,
                             'hit_rate': fl(np.mean(hit)), 'map': fl(np.mean(ap)), 'precision': fl(np.mean(prec)), 'recall': fl(np.mean(rec))}
        vals['mrr'] = fl(np.mean([rank_metrics((np.array(r, np.float64)[np.lexsort((np.arange(len(s)), -np.array(s)))] > 0).tolist(), len(r), 1)[1]
                                  for r, s in zip(rels, scores)]))
        p.case(name, {'kind': 'ranking', 'relevance': rels, 'score': scores, 'ties': 'lower index first', **({'note': note} if note else {})}, {}, values=vals)

    Q, N = p.dim(7), p.dim(12)
    ranking('rank_binary', [(rng.random(N) < 0.3).astype(int).tolist() for _ in range(Q)], [np.round(rng.random(N), 6).tolist() for _ in range(Q)], (1, 3, 5, 10, N))
    ranking('rank_graded', [rng.integers(0, 4, N).tolist() for _ in range(Q)], [np.round(rng.random(N), 6).tolist() for _ in range(Q)], (1, 3, 5, N))
    ranking('rank_ties', [rng.integers(0, 3, N).tolist() for _ in range(Q)], [rng.integers(0, 4, N).tolist() for _ in range(Q)], (1, 3, 5, N))
    ranking('rank_none_relevant', [[0, 0, 0], [0, 1, 0]], [[0.3, 0.2, 0.1], [0.1, 0.2, 0.3]], (1, 2, 3))
    ranking('rank_k_beyond_length', [[1, 0, 1]], [[0.1, 0.9, 0.5]], (3, 10), 'k larger than the list: precision still divides by k')
    ranking('rank_single_item', [[1]], [[0.7]], (1,))
    ranking('rank_negative_scores', [[0, 1, 1, 0, 1]], [[-1.5, -0.2, -3.0, -0.1, -2.0]], (1, 2, 5))
    p.save()


# --------------------------------------------------------------------------
