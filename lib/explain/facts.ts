/** What each fact of a film did to its forecast: each is taken away for itself, each genre and person too. */
import type { MetadataFields } from '../metadata/spec.js';
import type { FactEffect } from './types.js';
import type { Changed, Variants } from './variants.js';

/** People and genres measured of each list. */
const MOST_OF_A_LIST = 12;

interface Removal {
  fact: keyof MetadataFields;
  value: string;
  left: MetadataFields;
}

const without = (facts: MetadataFields, fact: keyof MetadataFields): MetadataFields => {
  const { [fact]: _, ...left } = facts;
  return left;
};

function removalsOf(facts: MetadataFields): Removal[] {
  const removals: Removal[] = [];
  for (const fact of Object.keys(facts) as (keyof MetadataFields)[]) {
    const value = facts[fact];
    if (!Array.isArray(value)) {
      removals.push({ fact, value: String(value), left: without(facts, fact) });
      continue;
    }
    const entries = value as readonly string[];
    entries.slice(0, MOST_OF_A_LIST).forEach((entry, i) => {
      const others = entries.filter((_, at) => at !== i);
      const left = others.length > 0 ? { ...facts, [fact]: others } : without(facts, fact);
      removals.push({ fact, value: entry, left });
    });
    if (entries.length > 1)
      removals.push({ fact, value: `all ${entries.length}`, left: without(facts, fact) });
  }
  return removals;
}

/** Measures the facts of the film; none where it brings none. */
export async function explainFacts(variants: Variants): Promise<FactEffect[]> {
  const { metadata } = variants.film.given;
  if (!metadata || !variants.jobsOf('metadata').some(({ key }) => variants.embeddings.has(key))) return [];
  const removals = removalsOf(metadata);
  const measure = async (of: readonly Removal[], title: boolean) => {
    const changes = of.map(({ fact, value, left }) => {
      const given: Changed = {
        metadata: Object.keys(left).length > 0 ? left : undefined,
        ...(title && { title: undefined }),
      };
      return { key: `${fact}\u0000${value}`, given };
    });
    return variants.changed(title ? ['title', 'metadata'] : ['metadata'], changes);
  };
  // A title is an input of its own as well: without it both go.
  const [facts, titles] = [
    removals.filter(({ fact }) => fact !== 'title'),
    removals.filter(({ fact }) => fact === 'title'),
  ];
  const effects = [...(await measure(titles, true)), ...(await measure(facts, false))];
  return [...titles, ...facts].map(({ fact, value }, i) => ({ fact, value, effects: effects[i] }));
}
