/**
 * A small check that a text is well-formed XML, as far as the charts use it: elements, attributes,
 * text and the five entities.
 *
 * Invariant: it says where the first thing is wrong, and gives how many elements of each name there
 * are. It knows no comments, no CDATA and no declarations: a chart has none.
 */

const tag = /<(\/?)([a-z][\w-]*)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>/gi;

/** Counts of elements by name. Throws where the text is not well-formed. */
export function elementsOf(text: string): Map<string, number> {
  const counts = new Map<string, number>();
  const open: string[] = [];
  let end = 0;
  let roots = 0;
  for (const match of text.matchAll(tag)) {
    const [whole, closing, name = '', attributes = '', empty] = match;
    checkText(text.slice(end, match.index), open.length > 0);
    checkText(attributes, true);
    end = match.index + whole.length;
    if (closing === '/') {
      const last = open.pop();
      if (last !== name) throw new Error(`</${name}> closes <${last}>`);
      continue;
    }
    if (open.length === 0) roots += 1;
    counts.set(name, (counts.get(name) ?? 0) + 1);
    if (empty !== '/') open.push(name);
  }
  checkText(text.slice(end), false);
  if (open.length > 0) throw new Error(`<${open.at(-1)}> is never closed`);
  if (roots !== 1) throw new Error(`there are ${roots} roots`);
  return counts;
}

/** Between tags: no angle brackets, no bare ampersand; outside of the root nothing but space. */
function checkText(text: string, inside: boolean): void {
  if (!inside && text.trim() !== '') throw new Error(`'${text.trim()}' is outside of the root`);
  const rest = text.replace(/&(?:amp|lt|gt|quot|apos);/g, '');
  const wrong = /[<>&]/.exec(rest);
  if (wrong !== null) throw new Error(`a bare ${wrong[0]} in '${text}'`);
}
