-- The cookie is the first argument.
init = function(args)
  wrk.headers["Cookie"] = args[1]
end
