"""Clusters: cases that share an id or a text share a cluster, whatever the order; nothing else does."""

from hypothesis import given
from hypothesis import strategies as st

from sora_eval.records.clusters import clusters_of

ROWS = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["", " ", "a cat", "a dog", "A cat"])), max_size=12)


@given(ROWS, st.randoms())
def test_the_least_partition_in_which_equal_ids_and_equal_texts_are_together(rows, random):
    cases = [(str(i), prompt, text) for i, (prompt, text) in enumerate(rows)]
    clusters = clusters_of(cases)
    groups = [{i} for i, _, _ in cases]  # merged until nothing is left to merge
    for _ in groups:
        for i, p, t in cases:
            for j, q, u in cases:
                if p == q or (t == u and t.strip()):
                    both = groups[int(i)] | groups[int(j)]
                    for k in both:
                        groups[int(k)] = both
    for i, _, _ in cases:
        assert {j for j, name in clusters.items() if name == clusters[i]} == groups[int(i)]
        assert clusters[i] == min(p for j, p, _ in cases if j in groups[int(i)])
    random.shuffle(cases)
    assert clusters_of(cases) == clusters
