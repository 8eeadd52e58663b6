async def test_a_request_reaches_its_service_and_the_answer_comes_back(edge, service, signed_in):
    answer = await edge.http.get("/v1/projects?limit=3&q=a%20b", headers=signed_in)

    assert answer.status_code == 200
    assert answer.json() == {"path": "/v1/projects", "size": 0}
    assert service.seen[0].query == b"limit=3&q=a%20b"
    assert service.seen[0].all("authorization") == [signed_in["Authorization"]]
