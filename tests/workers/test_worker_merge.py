from proxy.workers import merge


def counts(total, successful, since=100.0, **usage):
    return {
        "since": since,
        "total_requests": total,
        "successful_requests": successful,
        "failover_count": 1,
        "success_rate": successful / total if total else 0.0,
        "provider_usage": usage,
        "outcomes": {"ok": successful} if successful else {},
    }


def performance(requests, **changes):
    return {
        "requests": requests,
        "success_rate": 1.0,
        "average_response_time": 1.0,
        "requests_per_minute": requests / 5,
        "uptime_percentage": 100.0,
        "p50": float(requests),
        "tokens_per_second": None,
        **changes,
    }


def provider(**changes):
    return {
        "enabled": True,
        "supports": ["chat"],
        "usage_count": 2,
        "rate_limit": {},
        "health": {"status": "healthy", "consecutive_failures": 0, "last_check": None, "last_check_seconds": None},
        "performance": performance(1),
        "circuit_breaker": {"state": "closed", "failure_count": 0, "opens_until": None},
        "cool_down": {"remaining": 0.0, "reason": None},
        "in_flight": 1,
        "queued": 0,
        **changes,
    }


def test_counts_add_up_and_the_rate_is_theirs():
    found = merge.statistics([counts(3, 3, 100.0, a=3), counts(1, 0, 90.0, a=1, b=2)])
    assert found == {
        "since": 90.0,
        "total_requests": 4,
        "successful_requests": 3,
        "failover_count": 2,
        "success_rate": 0.75,
        "provider_usage": {"a": 4, "b": 2},
        "outcomes": {"ok": 3},
    }


def test_without_a_request_the_rate_is_0():
    assert merge.statistics([counts(0, 0), counts(0, 0)])["success_rate"] == 0.0


def test_requests_are_merged_by_time_and_bounded():
    one, other = [{"requests": [{"time": time} for time in times]} for times in ([5, 3, 1], [4, 2])]
    assert merge.requests([one, other], 4) == {"requests": [{"time": time} for time in (5, 4, 3, 2)]}


def test_what_is_in_flight_adds_up():
    one = {"in_flight": 1, "providers": {"a": provider()}, "routes": {"r": {"policy": "default", "retry_budget": 2.5}}}
    found = merge.status([one, one, one])
    assert found["in_flight"] == 3
    assert (found["providers"]["a"]["in_flight"], found["providers"]["a"]["usage_count"]) == (3, 6)
    assert found["routes"]["r"] == {"policy": "default", "retry_budget": 7.5}


def test_a_provider_that_only_a_newer_generation_has_is_shown():
    old, new = [{"in_flight": 0, "providers": each, "routes": {}} for each in ({}, {"new": provider()})]
    assert merge.status([old, new])["providers"] == {"new": provider()}


def test_the_breaker_is_the_one_that_is_worst_off():
    half = {"state": "half_open", "failure_count": 1, "opens_until": None}
    soon, late = [{"state": "open", "failure_count": 3, "opens_until": until} for until in (10.0, 20.0)]
    found = merge.provider([provider(circuit_breaker=each) for each in (half, soon, late)])
    assert found["circuit_breaker"] == late


def test_the_health_is_the_worst_and_the_check_the_newest():
    well = {"status": "healthy", "consecutive_failures": 0, "last_check": 20.0, "last_check_seconds": 0.2}
    ill = {"status": "unhealthy", "consecutive_failures": 4, "last_check": 10.0, "last_check_seconds": 0.1}
    found = merge.provider([provider(health=well), provider(health=ill)])["health"]
    assert found == {**ill, "last_check": 20.0, "last_check_seconds": 0.2}


def test_one_worker_that_knows_it_works_speaks_for_one_that_asked_nothing_yet():
    unknown = {"status": "unknown", "consecutive_failures": 0, "last_check": None, "last_check_seconds": None}
    assert merge.provider([provider(health=unknown), provider()])["health"]["status"] == "healthy"


def test_the_longest_cool_down_counts():
    cool = {"remaining": 5.0, "reason": "rate_limited"}
    assert merge.provider([provider(), provider(cool_down=cool)])["cool_down"] == cool


def test_averages_are_weighted_and_percentiles_are_the_busiest_ones():
    busy = performance(30, success_rate=1.0, average_response_time=1.0)
    idle = performance(10, success_rate=0.5, average_response_time=8.0)
    found = merge.performance([idle, busy])
    assert (found["requests"], found["success_rate"], found["average_response_time"]) == (40, 35 / 40, 70 / 35)
    assert (found["requests_per_minute"], found["p50"]) == (8.0, 30.0)


def test_nothing_measured_is_0():
    nothing = performance(0, success_rate=0.0, average_response_time=0.0)
    found = merge.performance([nothing, nothing])
    assert (found["success_rate"], found["average_response_time"]) == (0.0, 0.0)


def test_what_is_left_of_a_rate_adds_up():
    limit = {"chat": {"limit": 10, "period": 60.0, "left": 4}}
    found = merge.provider([provider(rate_limit=limit), provider(rate_limit=limit)])
    assert found["rate_limit"] == {"chat": {"limit": 20, "period": 60.0, "left": 8}}


def test_endpoints_are_merged_by_their_url():
    text, pictures = [{**provider(in_flight=count), "url": url} for url, count in (("t", 1), ("i", 2))]
    found = merge.provider([provider(endpoints=[text, pictures]), provider(endpoints=[text, pictures])])
    assert [(each["url"], each["in_flight"]) for each in found["endpoints"]] == [("t", 2), ("i", 4)]


def test_the_findings_of_all_checks_are_told():
    found = merge.checks([{**provider(), "checks": [number]} for number in (1, 2)])
    assert found["checks"] == [1, 2]
