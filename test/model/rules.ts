/**
 * The rules of the commit protocol, one sentence each.
 *
 * Every rule can be left out of the model; the tests show that something is lost then. What the
 * rules are for stands in `spec/format.md`; what they mean step by step, in the model's own code.
 */

export const ruleSentences = {
  // Settling
  settleInSteps: 'The header names a map only after the sync of that map has completed.',
  mirror:
    'Log space and map slots are reused only when both header copies are durable past them, so a second header write mirrors the first.',
  oneHeaderAtATime: 'A header copy is written only when the write of the other one is synced.',
  namedByParent: 'Which slot of a map counts is said by the header, not by the newer stamp.',
  stamps: 'A record applies to a map only where its batch is after the stamp of the map.',
  carriedGoHome:
    'A header has a base only when the values that records up to it carry are in their grains, synced.',
  freedStaysAway: 'A carried value that has been freed is not written to its grains any more.',
  carriedDespiteStamp:
    'Opening takes the values that a record after the base carries, whatever the stamp of their map.',
  // Commit
  freeAfterSync:
    'A grain is given out again only when the sync of the batch that freed it is over.',
  poison: 'After a failed sync nothing more is written until the store has been opened again.',
  blankFailedRecord: 'A record whose write failed is blanked, and that is synced.',
  rejectAfterBlank: 'A batch whose record failed is rejected only when the blank is durable.',
  // Moving
  copiedFirst:
    'A record says that a map has moved only when the sync of the copy of its values is over.',
  copyHasCarried: 'The copy of a map has the values that only records carry so far.',
  stillWhileCopied: 'While a map is copied, no value gets a grain of it.',
  oldPlaceStays:
    'The place that a map has left is used again only when no header copy names the map there.',
  // Log
  bodyCrc: 'The head of a record has the CRC of the whole body.',
  twoLanes: 'Records of even and of odd batches never share a page.',
  zeroFilledFirst: 'A segment is listed only after the sync of its zero-fill.',
  listedFirst: 'A record goes only into a segment that the newest durable header lists.',
  listedInBoth: 'A record goes only into a segment that both durable header copies list.',
  keepUncheckpointed: 'Records after the checkpoint stay, settled or not.',
  // Opening
  valueCrcInRecord: "The last record's own CRCs decide whether its values are there.",
  gapIsCorrupt: 'A record that is missing before a later one is corruption.',
  confirmedIsKept: 'A confirmed batch that cannot be read is corruption.',
  cleanMarkChecked: 'A valid record after a header marked clean means not closed.',
  newerOfEqual:
    'Of two header copies that say the same, opening writes the newer one first: the older is durable.',
  rewriteHeader:
    'Where the header copies differ, opening rewrites the newer one in place, and syncs it, first.',
  rewriteLastBatch: 'Opening rewrites, and syncs, the record and the values of the last batch.',
  confirmAfterSync:
    'Opening confirms the last batch only when the sync of what that batch wrote is over.',
  epoch: 'A record after `confirmed` with an older epoch is no record; recovery raises the epoch.',
  topEpoch: 'The epoch of an opening is above every epoch in any header and any log sector.',
  newestAttempt: 'Of two whole records of one batch the one with the higher epoch counts.',
  blankTakenBack: 'Recovery blanks what is in the log but counts as no record.',
  takeBackAtOnce:
    'Opening syncs what it blanks, and the other header copy with the new epoch, before any commit.',
  openAtOnce: 'Opening writes a header, open and with the new epoch, before any commit.',
} as const;

export type RuleName = keyof typeof ruleSentences;
export type Rules = Readonly<Record<RuleName, boolean>>;

export const ruleNames = Object.keys(ruleSentences) as RuleName[];

export const allRules: Rules = Object.fromEntries(
  ruleNames.map((name) => [name, true]),
) as unknown as Rules;

export function rulesWithout(...names: RuleName[]): Rules {
  return { ...allRules, ...Object.fromEntries(names.map((name) => [name, false])) };
}
