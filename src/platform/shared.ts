/**
 * Work that is done once for all who ask while it is under way.
 * @param keptMs for how long the answer serves others too; a failure serves no others
 */
export function shared<T> (work: () => Promise<T>, keptMs = 0): () => Promise<T> {
  let answer: Promise<T>
  let keptUntil = -Infinity
  return () => {
    if (performance.now() >= keptUntil) {
      keptUntil = Infinity
      answer = work()
      answer.then(() => { keptUntil = performance.now() + keptMs }, () => { keptUntil = -Infinity })
    }
    return answer
  }
}
