wrk.method = "POST"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
wrk.body = "name=John+Doe&email=john%40example.com&msg=hello+world%21&id=12345"
