"""Dense optical flow between two grey frames. Input: (2, height, width) uint8. Result: (height, width, 2) float32."""
from registry import contender


@contender('flow', 'OpenCV Farneback', 'OpenCV')
def flow_farneback(p, x):
    import cv2

    return lambda: cv2.calcOpticalFlowFarneback(x[0], x[1], None, 0.5, 5, 15, 3, 5, 1.2, 0)


def dis(preset):
    def make(p, x):
        import cv2

        flow = cv2.DISOpticalFlow_create(preset)
        return lambda: flow.calc(x[0], x[1], None)

    return make


contender('flow', 'OpenCV DIS fast', 'OpenCV')(dis(1))
contender('flow', 'OpenCV DIS medium', 'OpenCV')(dis(2))
