/**
 * The process of one contestant: it does what its parent asks for, one request after the other.
 *
 * Invariant: nothing of the contestant runs before `open`, and nothing else runs in the process, so
 * the first run of the first slice is the first one of the process. It ends with its parent.
 */

import type { Contestant } from '../contestant.ts';
import { OpenContestant } from '../open-contestant.ts';
import { type Reply, type Request, type Served, servedOption } from './contestant-process.ts';

/** The contestant that the command line asks this process to serve. */
export function servedContestant(args: readonly string[] = process.argv): Served | undefined {
  const at = args.indexOf(servedOption);
  return at < 0 ? undefined : (JSON.parse(args[at + 1] ?? '') as Served);
}

/** Serves until the parent ends this process. */
export function serve(contestant: Contestant): void {
  const open = new OpenContestant(contestant);
  process.on('disconnect', () => process.exit());
  process.on('message', (request: Request) => {
    void replyTo(open, request).then((reply) => process.send?.(reply));
  });
}

async function replyTo(contestant: OpenContestant, request: Request): Promise<Reply> {
  try {
    return { result: await resultOf(contestant, request) };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}

function resultOf(contestant: OpenContestant, request: Request): Promise<unknown> {
  switch (request.method) {
    case 'open':
      // What the inputs left in memory is not to be cleared away in the time of the first runs.
      return contestant.open(request.folder).then(() => globalThis.gc?.());
    case 'slice':
      return contestant.slice(request.effort);
    case 'close':
      return contestant.close();
  }
}
