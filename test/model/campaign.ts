/**
 * Runs many histories under one set of rules and counts those in which a promise was broken.
 *
 * A seed always gives the same history. Whatever is thrown that is no broken promise is a bug of
 * the model, and is not caught.
 */

import { Stuck } from './engine.ts';
import { BrokenPromise, History, type HistoryKinds } from './history.ts';
import { allRules, type Rules, ruleNames, ruleSentences, rulesWithout } from './rules.ts';

export interface Break {
  readonly seed: number;
  readonly reason: string;
}

/**
 * What went wrong in the history of this seed; undefined where every promise was kept. `does`: what
 * some of its commits do.
 */
export function reasonBroken(rules: Rules, seed: number, does?: HistoryKinds): string | undefined {
  try {
    new History(rules, seed, does).run();
    return undefined;
  } catch (error) {
    if (error instanceof BrokenPromise || error instanceof Stuck) return error.message;
    throw error;
  }
}

/** Runs the histories of seeds 1 to `histories`, and yields each that breaks a promise. */
export function* breaksIn(rules: Rules, histories: number): Generator<Break> {
  for (let seed = 1; seed <= histories; seed++) {
    const reason = reasonBroken(rules, seed);
    if (reason !== undefined) yield { seed, reason };
  }
}

/** Text: for each rule left out, and for none, how many of so many histories broke. */
export function campaignTable(histories: number): string {
  const line = (name: string, rules: Rules, sentence: string) => {
    const breaks = [...breaksIn(rules, histories)];
    const share = `${((100 * breaks.length) / histories).toFixed(4)} %`;
    const first = breaks[0] ? `first seed ${breaks[0].seed}` : '';
    return [name.padEnd(20), share.padStart(11), first.padEnd(18), sentence].join('  ');
  };
  const lines = [line('(all rules)', allRules, 'nothing is left out')];
  for (const name of ruleNames) lines.push(line(name, rulesWithout(name), ruleSentences[name]));
  return lines.join('\n');
}
