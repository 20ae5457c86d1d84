-- Sixteen requests in one write, whenever the sixteen before them were answered.
local DEPTH = 16
local batch

function init(args)
  local requests = {}
  for i = 1, DEPTH do
    requests[i] = wrk.format()
  end
  batch = table.concat(requests)
end

function request()
  return batch
end
