/** Into a map that remembers the latest `size`: the first of too many is forgotten. */
export function putLast<T> (map: Map<string, T>, key: string, value: T, size: number): void {
  map.delete(key)
  map.set(key, value)
  if (map.size > size) map.delete(map.keys().next().value as string)
}
